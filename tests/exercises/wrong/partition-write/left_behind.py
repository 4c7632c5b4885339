# says: Killed runs left files behind
import uuid

folder = table / f"day={day}"
folder.mkdir(parents=True, exist_ok=True)
staged = folder / f".{uuid.uuid4().hex}"
pq.write_table(rows, staged)
staged.replace(folder / FILE)
