# says: only None means that there is none
@app.get("/livez")
async def livez() -> dict[str, bool]:
    return {"alive": True}

@app.get("/readyz")
async def readyz() -> JSONResponse:
    missing = ["model"] if not parts.model else []
    try:
        await parts.ping_store()
    except ConnectionError:
        missing.append("store")
    return JSONResponse({"ready": not missing, "missing": missing}, status_code=503 if missing else 200)
