# says: you ranked payments
from sklearn.metrics import average_precision_score

average_precision = average_precision_score(frauds, scores)
shares = []
for day in np.unique(days):
    today = np.flatnonzero(days == day)
    first = today[np.argsort(-scores[today], kind="stable")[:top]]
    shares.append(frauds[first].sum() / top)
return {"average_precision": float(average_precision), "card_precision": float(np.mean(shares))}
