# says: The file was written where readers look for it
folder = table / f"day={day}"
folder.mkdir(parents=True, exist_ok=True)
pq.write_table(rows, folder / FILE)
