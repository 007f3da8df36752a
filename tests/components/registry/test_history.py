"""Who is champion, for given versions and a given history."""

from dataclasses import replace

import pytest

from components.registry.history import Entry, State, Version, counting, derive

A, B, C = (Version(number, f"weights-{number}", True) for number in (1, 2, 3))
REJECTED = Version(4, "weights-4", False)


def history(*changes: str, after: dict[int, int] | None = None) -> list[Entry]:
    """Entries such as `1` (version 1 becomes champion) and `1-2` (the same, and version 2 is withdrawn).

    Args:
        changes: The changes. Each was written after the one before it,
        after: but for those with these numbers.
    """
    entries = []
    for number, change in enumerate(changes, 1):
        champion, _, withdrawn = change.partition("-")
        entries.append(
            Entry(
                after=(after or {}).get(number, number - 1),
                champion=int(champion),
                champion_digest=f"weights-{champion}" if champion != "0" else "",
                previous=0,
                action="rollback" if withdrawn else "register",
                reason="",
                by="alice",
                withdrawn=int(withdrawn or 0),
                withdrawn_digest=f"weights-{withdrawn}" if withdrawn else "",
                number=number,
            )
        )
    return entries


def numbers(entries: list[Entry]) -> list[int]:
    return [entry.number for entry in counting(entries)]


def without(entries: list[Entry], *deleted: int) -> list[Entry]:
    return [entry for entry in entries if entry.number not in deleted]


def test_nothing_is_there():
    assert derive([], []) == State(0, None, None, frozenset(), ())


def test_the_first_champion():
    entries = history("1")
    assert derive([A, B, REJECTED], entries) == State(1, 1, 2, frozenset(), tuple(entries), (1,))


def test_a_champion_is_replaced():
    state = derive([A, B, C], history("1", "3"))
    assert (state.head, state.champion, state.challenger) == (2, 3, None)
    assert state.aliases == {"champion": 3}


def test_the_order_in_which_the_server_lists_the_entries_does_not_matter():
    entries = history("1", "3", "2")
    assert derive([C, B, A], entries[::-1]) == derive([A, B, C], entries)


def test_a_rollback_goes_back_in_the_history_and_not_by_number():
    # Version 3 was champion before version 1 was promoted, 2 never.
    state = derive([A, B, C], history("3", "1", "3-1"))
    assert (state.champion, state.withdrawn) == (3, frozenset({1}))
    # With none named, it is the last one that was not withdrawn.
    assert derive([A, B, C], history("3", "1", "0-1")).champion == 3


def test_what_was_withdrawn_is_not_champion_again():
    # Version 2 is withdrawn; then its successor is deleted.
    entries = history("1", "2", "1-2", "3")
    assert derive([A, B, C], entries).champion == 3
    state = derive([A, B], entries)
    assert (state.champion, state.challenger, state.withdrawn) == (1, None, frozenset({2}))


def test_what_was_withdrawn_is_champion_again_if_a_person_promotes_it():
    state = derive([A, B, C], history("1", "2", "1-2", "2"))
    assert (state.champion, state.challenger, state.withdrawn) == (2, 3, frozenset())


def test_all_champions_are_withdrawn():
    state = derive([A, B], history("1", "0-1"))
    assert (state.champion, state.challenger, state.withdrawn) == (None, 2, frozenset({1}))
    assert state.aliases == {"challenger": 2}


@pytest.mark.parametrize(
    ("versions", "champion"), [([A, B, C], 3), ([A, B], 2), ([A, C], 3), ([A], 1), ([REJECTED], None)]
)
def test_after_a_deleted_champion_comes_the_one_before_it(versions: list[Version], champion: int | None):
    assert derive(versions, history("1", "2", "3")).champion == champion


def test_a_deleted_champion_that_is_registered_again_has_to_win_again():
    again = Version(5, "weights-2", True)
    state = derive([A, again], history("1", "2"))
    assert (state.champion, state.challenger) == (1, 5)
    # Withdrawn weights stay so under a new number.
    state = derive([A, again], history("1", "2", "1-2"))
    assert (state.champion, state.challenger, state.withdrawn) == (1, None, frozenset({5}))


def test_of_two_versions_with_the_same_weights_the_older_one_is_champion():
    again = Version(5, "weights-2", True)
    assert derive([again, A, B], history("1", "2")).champion == 2
    assert derive([again, A, B], history("1", "2")).challenger is None


def test_who_loses_a_race_does_not_count():
    # Both had seen the first entry alone; then the loser decides again.
    entries = history("1", "2", "3", "3", after={3: 1, 4: 2})
    assert numbers(entries[:3]) == [1, 2]
    assert derive([A, B, C], entries[:3]).champion == 2
    assert numbers(entries) == [1, 2, 4]
    assert derive([A, B, C], entries).champion == 3


def test_of_two_first_entries_one_counts():
    assert numbers(history("1", "2", after={2: 0})) == [1]


@pytest.mark.parametrize("deleted", [1, 2, 3])
def test_entries_after_a_deleted_one_count(deleted: int):
    left = without(history("1", "2", "3"), deleted)
    assert numbers(left) == [number for number in (1, 2, 3) if number != deleted]
    assert derive([A, B, C], left).champion == (2 if deleted == 3 else 3)


def test_a_deleted_entry_does_not_make_a_loser_count():
    # Entry 3 lost against 2, as the entry 4, written after 2, shows when 2 is deleted.
    assert numbers(without(history("1", "2", "3", "1", after={3: 1, 4: 2}), 2)) == [1, 4]
    # Entry 4 lost against 3.
    assert numbers(without(history("1", "2", "3", "1", after={4: 2}), 2)) == [1, 3]


def test_the_champion_from_before_the_history_may_come_back():
    first = replace(history("2")[0], previous=1, previous_digest="weights-1")
    assert derive([A, B], [first]).champions == (1, 2)
    assert derive([A], [first]).champion == 1


def test_without_a_history_the_tag_of_a_withdrawn_version_counts():
    withdrawn = replace(B, withdrawn=True)
    state = derive([A, withdrawn], [], alias=2)
    assert (state.champion, state.challenger, state.withdrawn) == (None, 1, frozenset({2}))
    assert derive([A, withdrawn], history("1", "2")).champion == 2


def test_an_alias_that_was_set_before_there_was_a_history_counts_until_then():
    state = derive([A, B, C], [], alias=2)
    assert (state.head, state.champion, state.challenger) == (0, 2, 3)
    assert derive([A, B, C], history("1"), alias=2).champion == 1
    assert derive([A], [], alias=2).champion is None


@pytest.mark.parametrize(
    ("versions", "entries", "challenger"),
    [
        pytest.param([A, B, C], history("1"), 3, id="the newest"),
        pytest.param([A, B, REJECTED], history("1"), 2, id="only one that passed"),
        pytest.param([A, B, C], history("3"), None, id="not an older one"),
        pytest.param([A, B, C], history("1", "3", "1-3"), 2, id="not one that was withdrawn"),
        pytest.param([A, B], [], 2, id="without a champion"),
        pytest.param([REJECTED], [], None, id="none passed"),
    ],
)
def test_the_challenger(versions: list[Version], entries: list[Entry], challenger: int | None):
    assert derive(versions, entries).challenger == challenger


def test_the_champion_stays_when_a_later_gate_rejects_it():
    assert derive([replace(A, passed=False)], history("1")).champion == 1
