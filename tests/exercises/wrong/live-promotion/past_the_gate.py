# says: the alias was moved past the gate
client = MlflowClient(line.mlflow_url)
before = client.get_model_version_by_alias(line.model_name, CHAMPION).version
v = [x for x in client.search_model_versions(f"name='{line.model_name}'") if x.tags.get("run_id") == line.run_id][0].version
client.set_registered_model_alias(line.model_name, CHAMPION, v)
while version_in_use(line) != v: time.sleep(0.1)
look("promoted")
client.set_registered_model_alias(line.model_name, CHAMPION, before)
while version_in_use(line) != before: time.sleep(0.1)
look("rolled back")
