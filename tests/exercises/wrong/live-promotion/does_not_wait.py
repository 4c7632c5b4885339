# says: wait until
client = MlflowClient(line.mlflow_url)
before = client.get_model_version_by_alias(line.model_name, CHAMPION).version
go_through_the_gate(line)
look("promoted")
client.set_registered_model_alias(line.model_name, CHAMPION, before)
look("rolled back")
