# says: It stays ready, although the store is gone
app.state.ready = False

@app.get("/livez")
async def livez():
    return {"alive": True}

@app.get("/readyz")
async def readyz():
    missing = []
    if not app.state.ready:
        if parts.model is None:
            missing.append("model")
        try:
            await parts.ping_store()
        except ConnectionError:
            missing.append("store")
        app.state.ready = not missing
    return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)
