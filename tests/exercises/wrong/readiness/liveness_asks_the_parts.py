# says: Liveness is mixed with readiness
@app.get("/livez")
@app.get("/readyz")
async def probe():
    missing = ["model"] if parts.model is None else []
    try:
        await parts.ping_store()
    except ConnectionError:
        missing.append("store")
    return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)
