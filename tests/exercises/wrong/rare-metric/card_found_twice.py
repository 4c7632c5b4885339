# says: takes a place on day 1 again
from sklearn.metrics import average_precision_score

average_precision = average_precision_score(frauds, scores)
found: set[int] = set()
shares = []
for day in np.unique(days):
    today = days == day
    stolen = set(cards[today & frauds].tolist())
    highest = {card: scores[today & (cards == card)].max() for card in set(cards[today].tolist()) - found}
    looked_at = sorted(highest, key=lambda card: (-highest[card], card))[:top]
    hits = stolen.intersection(looked_at)
    shares.append(len(hits) / top)
return {"average_precision": float(average_precision), "card_precision": float(np.mean(shares))}
