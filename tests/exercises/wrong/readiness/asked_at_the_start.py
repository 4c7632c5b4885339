# says: It stays not ready
missing = ["model"] if parts.model is None else []
try:
    parts.ping_store().send(None)
except StopIteration:
    pass
except ConnectionError:
    missing.append("store")

@app.get("/livez")
async def livez():
    return {"alive": True}

@app.get("/readyz")
async def readyz():
    return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)
