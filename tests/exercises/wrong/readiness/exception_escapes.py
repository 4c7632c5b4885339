# says: The exception goes through to the caller
@app.get("/livez")
async def livez():
    return {"alive": True}

@app.get("/readyz")
async def readyz():
    await parts.ping_store()
    missing = ["model"] if parts.model is None else []
    return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)
