# says: too coarse
candidates = (np.arange(101) / 100).tolist()
allowed = reviews_per_1000 * len(validation.scores) / 1_000
cheapest, chosen = np.inf, Thresholds(review=1, decline=1)
for review in candidates:
    flagged = validation.scores >= review
    for decline in candidates:
        if decline < review or (flagged & (validation.scores < decline)).sum() > allowed:
            continue
        thresholds = Thresholds(review=review, decline=decline)
        cost = cost_of(validation, thresholds, costs)
        if cost < cheapest:
            cheapest, chosen = cost, thresholds
return chosen, 1_000 * cost_of(test, chosen, costs) / len(test.scores)
