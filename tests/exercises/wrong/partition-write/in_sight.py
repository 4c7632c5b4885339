# says: Beside the partition lies a half-written file that readers take for data
folder = table / f"day={day}"
folder.mkdir(parents=True, exist_ok=True)
staged = folder / (FILE + ".new")
pq.write_table(rows, staged)
staged.replace(folder / FILE)
