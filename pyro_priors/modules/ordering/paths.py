"""A path through all nodes of a graph whose links weigh much: the order of a chain."""

import numpy as np

GAIN = 1e-12  # what a move must add: less is rounding
LONGEST = 3  # nodes of a piece that is moved elsewhere


def heaviest_path(weights: np.ndarray) -> list[int]:
    """A path through all nodes with large summed weights of its links: a greedy path, improved move by move.

    The greedy path starts at the heaviest link and grows at both ends by the heaviest link to a node that is left. It
    and the nodes' own order are improved by turning stretches around (2-opt) and by moving up to three nodes elsewhere
    (or-opt), while that gains; the heavier of the two is taken. Nodes without any weight stand at the end in their own
    order. Equal weights go to the lower node, and the end of the lower number comes first.

    Cost: O(V^2) for each of some ten rounds.

    Shapes:
        ``weights (V, V)``, symmetric, not negative; the diagonal is not read
    """
    weights = np.round(weights, 12)  # so that sums in another order make no other path
    np.fill_diagonal(weights, 0.0)
    linked = np.flatnonzero(weights.any(1))
    inner = weights[np.ix_(linked, linked)]
    paths = [improved(inner, path) for path in (greedy_path(inner), list(range(len(linked))))]
    best = max(paths, key=lambda path: round(path_weight(inner, path), 9))  # the first where they are equal
    if best and best[0] > best[-1]:
        best = best[::-1]
    return [int(linked[node]) for node in best] + np.flatnonzero(~weights.any(1)).tolist()


def path_weight(weights: np.ndarray, path: list[int]) -> float:
    """Summed weights of a path's links."""
    return float(weights[path[:-1], path[1:]].sum())


def greedy_path(weights: np.ndarray) -> list[int]:
    """From the heaviest link on, at each step by the heaviest link from either end."""
    count = len(weights)
    if count < 2:
        return list(range(count))
    first, last = divmod(int(weights.argmax()), count)
    path, left = [first, last], np.ones(count, dtype=bool)
    left[path] = False
    while left.any():
        head, tail = (np.where(left, weights[end], -1.0) for end in (path[0], path[-1]))
        if max(head.max(), tail.max()) == 0:  # nothing leads on from here: on with the heaviest link that is left
            path.append(int(np.where(left[:, None] & left, weights, -1.0).max(1).argmax()))
        elif head.max() > tail.max():
            path.insert(0, int(head.argmax()))
        else:
            path.append(int(tail.argmax()))
        left[path] = False
    return path


def improved(weights: np.ndarray, path: list[int]) -> list[int]:
    """The path after moves that make it heavier, the best one of a node at a time, until no node has one.

    It is a closed tour through a node more, whose links weigh nothing: so the moves need no cases for the ends.
    """
    count, weights = len(path), np.pad(weights, (0, 1))
    if count < 3:
        return path
    tour = np.array([*path, count])
    since = node = 0
    while since <= count:  # so many nodes without a move, all of them
        tour = np.roll(tour, -int(np.flatnonzero(tour == node)[0]))
        links = weights[tour, np.roll(tour, -1)]
        moves = [_turn(weights, tour, links), *(_move(weights, tour, links, n) for n in range(1, LONGEST + 1))]
        gain, after = max(moves, key=lambda move: move[0])
        tour, since = (after, 0) if gain > GAIN else (tour, since + 1)
        node = (node + 1) % (count + 1)
    tour = np.roll(tour, -int(np.flatnonzero(tour == count)[0]))
    return tour[1:].tolist()


def _turn(weights: np.ndarray, tour: np.ndarray, links: np.ndarray) -> tuple[float, np.ndarray]:
    """What the best stretch to turn around from the second node on gains, and the tour after it."""
    gains = weights[tour[0], tour] + weights[tour[1], np.roll(tour, -1)] - links[0] - links
    last = int(gains[1:].argmax()) + 1
    return float(gains[last]), np.r_[tour[:1], tour[last:0:-1], tour[last + 1 :]]


def _move(weights: np.ndarray, tour: np.ndarray, links: np.ndarray, length: int) -> tuple[float, np.ndarray]:
    """The same for the best place to move the first nodes to, so many, turned around or not."""
    piece, rest = tour[:length], tour[length:]
    if len(rest) < 2:
        return 0.0, tour
    taken = weights[rest[-1], rest[0]] - links[-1] - links[length - 1]
    first, last = weights[piece[0], rest], weights[piece[-1], rest]
    straight, turned = first[:-1] + last[1:], last[:-1] + first[1:]
    gains = taken + np.maximum(straight, turned) - links[length:-1]
    at = int(gains.argmax())
    piece = piece if straight[at] >= turned[at] else piece[::-1]
    return float(gains[at]), np.r_[rest[: at + 1], piece, rest[at + 1 :]]
