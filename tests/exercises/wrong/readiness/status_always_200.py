# says: a load balancer reads the status alone
@app.get("/livez")
async def livez():
    return {"alive": True}

@app.get("/readyz")
async def readyz():
    missing = ["model"] if parts.model is None else []
    try:
        await parts.ping_store()
    except ConnectionError:
        missing.append("store")
    return {"ready": not missing, "missing": missing}

