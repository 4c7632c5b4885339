# says: becomes a task only when it is called
FEATURES = Asset(name="fraud_features", uri="fraud://lake/features")
DEFAULTS = {"retries": 2}
START = datetime(2025, 1, 1, tzinfo=UTC)

with DAG("exercise_features", schedule="0 3 * * *", start_date=START, catchup=False, default_args=DEFAULTS):

    @task
    def build_features() -> None:
        """Compute them."""
        compute_features()

    @task(outlets=[FEATURES])
    def hand_over() -> None:
        """Tell whoever waits for the Asset."""
        say_done()

    build_features() >> hand_over()

with DAG("exercise_training", schedule=[FEATURES], catchup=False, default_args=DEFAULTS):
    @task
    def train() -> None:
        fit_model()
