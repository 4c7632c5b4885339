# says: That it was given does not mean that it answers
@app.get("/livez")
async def livez():
    return {"alive": True}

@app.get("/readyz")
async def readyz():
    missing = []
    if parts.model is None:
        missing.append("model")
    if parts.ping_store is None:
        missing.append("store")
    return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)
