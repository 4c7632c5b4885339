# says: The old partition was removed before the new one was in place
folder = table / f"day={day}"
folder.mkdir(parents=True, exist_ok=True)
staged = folder / ".staged"
pq.write_table(rows, staged)
(folder / FILE).unlink(missing_ok=True)
staged.rename(folder / FILE)
