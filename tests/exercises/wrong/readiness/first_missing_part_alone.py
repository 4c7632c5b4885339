# says: ask both before you answer
@app.get("/livez")
async def livez() -> dict[str, bool]:
    return {"alive": True}

@app.get("/readyz")
async def readyz() -> JSONResponse:
    if parts.model is None:
        return JSONResponse({"ready": False, "missing": ["model"]}, status_code=503)
    missing = []
    try:
        await parts.ping_store()
    except ConnectionError:
        missing.append("store")
    return JSONResponse({"ready": not missing, "missing": missing}, status_code=503 if missing else 200)
