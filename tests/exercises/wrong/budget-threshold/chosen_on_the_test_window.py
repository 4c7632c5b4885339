# says: You chose on the test window
candidates = [*np.unique(test.scores).tolist(), 1.0]
allowed = reviews_per_1000 * len(test.scores) / 1_000
cheapest, chosen = np.inf, Thresholds(review=1, decline=1)
for review in candidates:
    flagged = test.scores >= review
    for decline in candidates:
        if decline < review or (flagged & (test.scores < decline)).sum() > allowed:
            continue
        thresholds = Thresholds(review=review, decline=decline)
        cost = cost_of(test, thresholds, costs)
        if cost < cheapest:
            cheapest, chosen = cost, thresholds
return chosen, 1_000 * cost_of(test, chosen, costs) / len(test.scores)
