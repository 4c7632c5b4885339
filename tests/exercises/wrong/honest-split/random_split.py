# says: trains on payments that happen after the training
rng = np.random.default_rng(0)
order = rng.permutation(len(occurred))
cut = int(0.7 * len(order))
training, test = np.sort(order[:cut]), np.sort(order[cut:])
frauds = reported < 2**63 - 1
return HonestSplit(training, frauds[training], test, frauds[test])
