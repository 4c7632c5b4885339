# says: The second run added a file beside that of the first
import uuid

folder = table / f"day={day}"
folder.mkdir(parents=True, exist_ok=True)
staged = folder / ".staged"
pq.write_table(rows, staged)
staged.replace(folder / (FILE if not (folder / FILE).exists() else f"part-{uuid.uuid4().hex}.parquet"))
