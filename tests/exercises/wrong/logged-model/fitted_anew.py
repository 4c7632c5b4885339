# says: rank payments in another way than the model does
calibrated = CalibratedClassifierCV(model, method="sigmoid")
calibrated.fit(held_out[FEATURES].to_numpy(), held_out["fraud"])
example = training[FEATURES].head()
with mlflow.start_run():
    logged = mlflow.sklearn.log_model(
        calibrated,
        name="model",
        signature=infer_signature(example, calibrated.predict_proba(example.to_numpy())),
        input_example=example,
        pyfunc_predict_fn="predict_proba",
        serialization_format="skops",
        skops_trusted_types=TRUSTED_TYPES,
        pip_requirements=REQUIREMENTS,
    )
return logged.model_uri
