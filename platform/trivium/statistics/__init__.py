"""Statistics of preference votes: pure functions of numpy arrays.

No function here reads the database or raises on data that are too few: where a number
is undefined it is None, with a `reason` in words for the page. Names of arrays end in
their axes: V votes, U items (units), C choices or categories, L labelers, K models,
G groups of equal votes, R rounds of a bootstrap, N candidates of a queue.
"""
