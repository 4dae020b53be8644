"""Tables that fit."""

from __future__ import annotations

from smithers.cli.table import Column, Table, columns_of, cut, one_line


def runs() -> Table:
    table = Table([Column("RUN", is_text=True), Column("DONE", is_right=True)], note_title="DETAIL")
    table.add("swift-otter-3f2", "3/5", note="draft, review and 12 more tasks of this run")
    table.add("red-fox", "10/10")
    return table


def test_columns_are_as_wide_as_their_widest_cell_and_numbers_are_on_the_right() -> None:
    assert runs().lines(120) == [
        "RUN               DONE  DETAIL",
        "swift-otter-3f2    3/5  draft, review and 12 more tasks of this run",
        "red-fox          10/10",
    ]


def test_a_note_without_room_beside_its_row_goes_under_it() -> None:
    assert runs().lines(50) == [
        "RUN               DONE",
        "swift-otter-3f2    3/5",
        "    draft, review and 12 more tasks of this run",
        "red-fox          10/10",
    ]


def test_no_line_is_wider_than_the_terminal_and_what_is_cut_ends_in_an_ellipsis() -> None:
    for width in range(16, 90):
        lines = runs().lines(width)
        assert max(map(columns_of, lines)) <= width
    assert "swift-ot…" in "\n".join(runs().lines(16))


def test_only_text_columns_are_cut() -> None:
    table = Table([Column("NAME", is_text=True), Column("STATE")])
    table.add("n" * 40, "interrupted")
    assert table.lines(25)[1] == "n" * 11 + "…" + "  interrupted"


def test_lines_below_a_row_keep_their_indentation_and_are_cut() -> None:
    table = Table([Column("NODE")])
    table.add("draft", below=["    [TASK_FAILED]\tboom\nmore", "    " + "x" * 40])
    assert table.lines(30)[2:] == ["    [TASK_FAILED] boom more", "    " + "x" * 25 + "…"]


def test_colours_do_not_move_columns() -> None:
    table = Table([Column("STATE", paint=lambda cell: f"<{cell}>"), Column("TIME", is_right=True)])
    table.add("failed", "3s")
    assert table.lines(80) == ["STATE   TIME", "<failed>    3s"]


def test_escape_sequences_in_names_and_messages_do_not_reach_the_terminal() -> None:
    table = Table([Column("NODE")])
    table.add("a\x1b[2Jb", note="x\x1b]0;title\x07y\r\nz", below=["\x9b31m"])
    assert all(character.isprintable() for line in table.lines(80) for character in line)


def test_wide_characters_count_as_two_columns() -> None:
    assert columns_of("日本") == 4
    assert cut("日本語", 5) == "日本…"
    assert columns_of("e\u0301") == 1


def test_a_text_becomes_one_line() -> None:
    assert one_line(" a\n\tb  c\x00") == "a b c"
