"""Scores of lists, their views, comparisons, meetings, and jiwer's names."""

import ast
import doctest
import importlib
import inspect
import json
import operator
import random
import subprocess
import sys
import threading
from pathlib import Path

import jiwer as original
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import violet
from violet import _core, meetings, scoring, transcripts
from violet.compat import jiwer

WORDS = ["the", "cat", "sat", "naïve", "你好", "😀", "שלום", "*"]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)


def test_scores_are_sums_over_utterances() -> None:
    scores = violet.score_words(["the cat sat", "hello world", ""], ["the cat", "hello word", "x"], "none")
    assert (scores.hits, scores.substitutions, scores.deletions, scores.insertions) == (3, 1, 1, 1)
    assert scores.wer == 3 / 5
    assert scores.mer == 3 / 6
    assert scores.wip == pytest.approx(3 / 5 * 3 / 5)
    assert scores.wil == pytest.approx(1 - 9 / 25)
    assert scores.ser == 1.0
    assert scores.weighted_wer() == (1 + 0.5 + 0.5) / 5
    table = scores.per_utterance
    assert table["hits"].dtype == np.int64
    assert table["rate"][:2].tolist() == [1 / 3, 1 / 2]
    assert np.isnan(table["rate"][2])


@pytest.mark.parametrize("rate", ["wer", "cer", "mer", "wil", "wip"])
def test_an_empty_reference_has_no_rate(rate: str) -> None:
    # The match error rate is of aligned positions: an inserted word is one, and wrong.
    assert getattr(violet, rate)("", "word") == (1.0 if rate == "mer" else None)
    assert getattr(violet, rate)([], []) is None
    assert violet.ser([], []) is None


def test_the_normalizer_is_stored_with_the_score() -> None:
    scores = violet.score_words("It's twenty", "it is 20")
    assert (scores.wer, scores.normalizer, scores.to_dict()["normalizer"]) == (0.0, "whisper-en", "whisper-en")
    assert violet.normalizers()[:2] == ["none", "whisper-basic"]
    assert json.loads(json.dumps(scores.to_dict()))["hits"] == 3


def test_alignments_carry_the_words() -> None:
    (chunks,) = violet.score_words("a b c", "a x c d", "none").alignments()
    assert [(chunk.edit, chunk.reference, chunk.hypothesis) for chunk in chunks] == [
        ("hit", ("a",), ("a",)),
        ("substitution", ("b",), ("x",)),
        ("hit", ("c",), ("c",)),
        ("insertion", (), ("d",)),
    ]


def test_the_most_frequent_errors() -> None:
    scores = violet.score_words(["a b", "a b", "c"], ["a x", "a x", "d e"], "none")
    assert scores.top_errors("substitution", 1) == [("b", "x", 2)]
    assert sum(n for _, _, n in scores.top_errors("insertion")) == scores.insertions
    with pytest.raises(ValueError, match="expected one of substitution, deletion, insertion"):
        scores.top_errors("hit")  # type: ignore[arg-type]


def test_confidence_is_reproducible_and_may_be_by_speaker() -> None:
    rng = random.Random(1)
    references = ["a b c d"] * 200
    hypotheses = ["a b c d" if rng.random() < 0.7 else "a b x y" for _ in references]
    scores = violet.score_words(references, hypotheses, "none")
    low, high = scores.ci() or (1, 0)
    assert low < (scores.wer or 0) < high
    assert scores.ci() == (low, high)
    assert scores.ci(seed=1) != (low, high)
    assert scores.ci(by=["one speaker"] * 200) == (scores.wer, scores.wer)
    with pytest.raises(ValueError, match="got 1 groups for 200 utterances"):
        scores.ci(by=["x"])
    with pytest.raises(TypeError, match=r"by\[0\] is of type int; expected str"):
        scores.ci(by=[1] * 200)  # type: ignore[list-item]
    with pytest.raises(ValueError, match="got seed -1; expected 0 to"):
        scores.ci(seed=-1)


def test_several_references_of_an_utterance() -> None:
    scores = violet.score_words([["a b", "a c"], "d"], ["a c", "e"], "none")
    assert (scores.hits, scores.substitutions) == (2, 1)


def test_texts_may_come_from_iterators() -> None:
    assert violet.score_words(iter(["a b", "c"]), iter(["a b", "d"]), "none").hits == 2
    assert violet.score_words(iter([["a", "b"], "c"]), iter(["b", "c"]), "none").hits == 2


def test_views_are_safe_for_right_to_left_text_and_html() -> None:
    scores = violet.score_words(["שלום <b> עולם"], ["שלום <i> עולם"], "none")
    assert "[-<b>-] {+<i>+}" in scores.to_text()
    assert "\u2068\u05e9\u05dc\u05d5\u05dd\u2069" in scores.to_text()
    assert "&lt;b&gt;" in scores._repr_html_()
    assert "<b>" not in scores._repr_html_()


def test_pandas_is_not_imported_unless_asked_for() -> None:
    violet.score_words("a", "b").to_dict()
    assert "pandas" not in sys.modules


@pytest.mark.parametrize(
    ("references", "hypotheses", "error", "message"),
    [
        (["a"], ["a", "b"], ValueError, "got 1 references and 2 hypotheses"),
        (["a", 3], ["a", "b"], TypeError, r"references\[1\] is of type int"),
        (["a"], [None], TypeError, r"hypotheses\[0\] is of type NoneType"),
        (["\ud800"], ["a"], ValueError, r"references\[0\] has a lone surrogate"),
        (3, ["a"], TypeError, "references is of type int"),
        (["a", ["b", 4]], ["a", "b"], TypeError, r"references\[1\]\[1\] is of type int"),
    ],
)
def test_bad_input_is_named(references: object, hypotheses: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        violet.score_words(references, hypotheses)  # type: ignore[arg-type]


@pytest.mark.parametrize("num_threads", range(1, 9))
def test_long_lists_are_scored_in_order_by_any_number_of_threads(num_threads: int) -> None:
    # Several batches; pairs differ in their words and errors, so that a lost or displaced one changes the sums.
    references = [" ".join(f"word{n}" for n in range(10 + index % 7)) for index in range(20_000)]
    hypotheses = [" ".join(text.split()[index % 11 :]) for index, text in enumerate(references)]
    n_errors = sum(min(index % 11, 10 + index % 7) for index in range(20_000))
    n_wrong = sum(index % 11 > 0 for index in range(20_000))
    n_words = sum(10 + index % 7 for index in range(20_000))
    assert violet.wer(references, tuple(hypotheses), "none", num_threads) == n_errors / n_words
    assert violet.wer((text for text in references), hypotheses, "none", num_threads) == n_errors / n_words
    assert violet.mer(references, hypotheses, "none", num_threads) == n_errors / n_words
    assert violet.ser(references, hypotheses, "none", num_threads) == n_wrong / 20_000


@pytest.mark.parametrize("num_threads", [1, 2, 8])
def test_a_bad_text_at_the_end_of_a_long_list_is_named(num_threads: int) -> None:
    texts = ["the cat sat on the mat"] * 20_000
    with pytest.raises(TypeError, match=r"hypotheses\[20000\] is of type int; expected str"):
        violet.wer([*texts, "a"], [*texts, 3], "none", num_threads)  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"references\[20000\] has a lone surrogate"):
        violet.wer([*texts, "\ud800"], [*texts, "a"], "none", num_threads)


def test_unknown_normalizers_and_surrogates_are_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown normalizer .*; expected one of none, whisper-basic"):
        violet.score_words("a", "b", "whisper")
    with pytest.raises(ValueError, match="lone surrogate"):
        violet.normalize("\udfff", "whisper-en")


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=20), st.integers(1, 8))
def test_threads_change_nothing(pairs: list[tuple[str, str]], num_threads: int) -> None:
    references, hypotheses = [left for left, _ in pairs], [right for _, right in pairs]
    alone = violet.score_words(references, hypotheses, "none", 1)
    assert violet.score_words(references, hypotheses, "none", num_threads).to_dict() == alone.to_dict()
    assert violet.wer(references, hypotheses) == alone.wer


def test_the_interpreter_is_free_while_scores_are_made() -> None:
    text = " ".join(str(n) for n in range(20_000))
    other = " ".join(str(n * 7 % 20_000) for n in range(20_000))
    done = threading.Event()

    def work() -> None:
        violet.wer(text, other)
        done.set()

    worker = threading.Thread(target=work)
    worker.start()
    turns = 0
    while not done.wait(0.001):
        turns += 1
    worker.join()
    assert turns > 2


def test_a_better_system_is_found() -> None:
    references = [f"a b c d e{n}" for n in range(100)]
    worse = [f"a x c d e{n if n % 3 else 0}" for n in range(100)]
    found = violet.compare(references, worse, references, "none")
    assert found is not None
    assert found.difference < 0
    assert max(found.p_bootstrap, found.p_mapsswe) < 0.001
    same = violet.compare(references, worse, worse, "none")
    assert same is not None
    assert (same.p_bootstrap, same.p_mapsswe) == (1.0, 1.0)
    assert violet.compare([""], [""], ["x"]) is None


def test_meetings_from_files(tmp_path: Path) -> None:
    (tmp_path / "a.stm").write_text(";; comment\ns 1 Ann 0 2 <o> hello there\ns 1 Bob 2 4 good morning\n")
    (tmp_path / "b.json").write_text(
        json.dumps(
            [
                {"session_id": "s", "speaker": "x", "start_time": 2, "end_time": 4, "words": "good morning"},
                {"session_id": "s", "speaker": "y", "start_time": 0, "end_time": 2, "words": "hello bear"},
            ]
        )
    )
    reference, hypothesis = (transcripts.read_segments(tmp_path / name) for name in ("a.stm", "b.json"))
    scores = violet.cpwer(reference, hypothesis)
    assert (scores.errors, scores.wer) == (1, 0.25)
    assert scores.assignment == [("s", "Ann", "y"), ("s", "Bob", "x")]
    late = [meetings.Segment(s.session, s.speaker, s.start + 60, s.end + 60, s.text) for s in hypothesis]
    assert violet.tcpwer(reference, late, collar_s=5).errors == 8
    assert violet.tcpwer(reference, late, collar_s=100).errors == 1
    (tmp_path / "c.ctm").write_text("s 1 0.0 0.5 hello\n")
    assert transcripts.read_segments(tmp_path / "c.ctm")[0].text == "hello"
    (tmp_path / "d.stm").write_text("s 1 Ann zero 2 hello\n")
    with pytest.raises(ValueError, match=r"d\.stm:1: not a line of STM"):
        transcripts.read_segments(tmp_path / "d.stm")


ENTRY = {"session_id": "s", "speaker": "x", "start_time": 0, "end_time": 1, "words": "a b"}


@pytest.mark.parametrize(
    ("entry", "error", "message"),
    [
        ({**ENTRY, "words": None}, TypeError, "the words are of type NoneType; expected str"),
        ({**ENTRY, "start_time": "soon"}, ValueError, "'start_time' is 'soon'; expected seconds"),
        ({"speaker": "x"}, ValueError, "no 'words'; expected session_id, speaker, start_time"),
        ("a b", TypeError, "got a str; expected session_id"),
    ],
)
def test_a_bad_segment_is_named(entry: object, error: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=rf"^hypothesis\[1\]: {message}"):
        violet.cpwer([ENTRY], [ENTRY, entry])  # type: ignore[list-item]
    (tmp_path / "a.json").write_text(json.dumps([ENTRY, entry]))
    with pytest.raises(ValueError, match=rf"a\.json: entry 1 is not a segment: {message}"):
        transcripts.read_segments(tmp_path / "a.json")


def test_speech_without_times_has_no_time_constrained_rate() -> None:
    timeless = {"speaker": "x", "words": "a b"}
    assert violet.cpwer([timeless], [timeless]).to_dict() == {
        **{"wer": 0.0, "hits": 2, "substitutions": 0, "deletions": 0, "insertions": 0},
        **{"assignment": [("", "x", "x")], "normalizer": "whisper-en"},
    }
    with pytest.raises(ValueError, match='speaker "x": got a segment from NaN to NaN s; expected numbers'):
        violet.tcpwer([timeless], [timeless])
    with pytest.raises(TypeError, match="reference is of type str; expected segments"):
        violet.cpwer("a.stm", [])  # type: ignore[arg-type]


def test_only_line_ends_end_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("a\u2028b\x0cc\r\n\nd\x85e".encode())
    assert transcripts.read_lines(tmp_path / "a.txt") == ["a\u2028b\x0cc", "", "d\x85e"]
    (tmp_path / "a.trn").write_text("a\u2028b (x)\n", encoding="utf-8")
    assert transcripts.read_utterances(tmp_path / "a.trn") == {"x": "a\u2028b"}


def test_the_examples_run() -> None:
    for module in (scoring, meetings):
        result = doctest.testmod(module)
        assert result.attempted > 2
        assert result.failed == 0


@pytest.mark.parametrize(
    "name",
    [
        "wer",
        "cer",
        "ser",
        "mer",
        "wil",
        "wip",
        "word_counts",
        "char_counts",
        "score_words",
        "score_characters",
        "compare",
        "cpwer",
        "tcpwer",
    ],
)
def test_help_has_source_arguments_and_errors(name: str) -> None:
    text = inspect.getdoc(getattr(violet, name)) or ""
    assert [part for part in ("Source", "Args:", "Raises:", "ValueError: ") if part not in text] == []


def test_the_stub_says_what_help_says() -> None:
    stub = ast.parse((Path(violet.__file__).parent / "_core.pyi").read_text(encoding="utf-8"))
    said: dict[str, str | None] = {}
    for node in stub.body:
        if isinstance(node, ast.ClassDef):
            said[node.name] = ast.get_docstring(node)
            members = [member for member in node.body if isinstance(member, ast.FunctionDef)]
            said.update({f"{node.name}.{member.name}": ast.get_docstring(member) for member in members})
        elif isinstance(node, ast.FunctionDef):
            said[node.name] = ast.get_docstring(node)
    public = {name for name in violet.__all__ if getattr(_core, name, None) is getattr(violet, name)}
    undocumented = {name for name, text in said.items() if text is None and name.split(".")[0] in public}
    assert undocumented <= {"VioletError", "LimitError"}
    helped = {name: inspect.getdoc(operator.attrgetter(name)(_core)) for name, text in said.items() if text}
    assert helped == {name: said[name] for name in helped}
    assert len(helped) > 30


def test_jiwers_conventions_hold_under_its_name() -> None:
    assert jiwer.wer("", "a b") == 2
    assert jiwer.wer("a\tb", "a b") == 2.0
    assert jiwer.cer("ab", "ac") == 0.5
    out = jiwer.process_words(["short one here"], ["shoe order one"])
    assert jiwer.visualize_alignment(out, show_measures=False) == (
        "=== SENTENCE 1 ===\n\nREF:    # short one here\n".replace("#", "*").replace("   * short", "**** short")
        + "HYP: shoe order one ****\n        I     S        D\n"
    )
    with pytest.raises(ValueError, match="1 reference and 2 hypothesis sentences"):
        jiwer.process_words(["a"], ["a", "b"])


def test_jiwers_outputs_are_equal_on_many_random_pairs() -> None:
    rng = random.Random(4)
    for size, n_pairs, names in (
        (10, 100_000, ["process_words"]),
        (8, 10_000, ["process_characters"]),
        (80, 500, ["process_words", "process_characters"]),
    ):
        texts = [[" ".join(rng.choices(WORDS, k=rng.randint(0, size))) for _ in range(n_pairs)] for _ in range(2)]
        for name in names:
            ours, theirs = getattr(jiwer, name)(*texts), getattr(original, name)(*texts)
            assert repr(ours.alignments) == repr(theirs.alignments)
            ours.alignments, theirs.alignments = [], []
            assert vars(ours) == vars(theirs)
        counts, wanted = violet.score_words(texts[0], texts[1], "none"), original.process_words(texts[0], texts[1])
        assert (counts.hits, counts.substitutions) == (wanted.hits, wanted.substitutions)
        assert (counts.deletions, counts.insertions, counts.wer) == (wanted.deletions, wanted.insertions, wanted.wer)


def test_every_public_name_of_jiwer_is_there_and_takes_the_same_arguments() -> None:
    # `name` is left over from a loop in jiwer's own module.
    names = {name for name in dir(original) if not name.startswith("_")} - {"name"}
    assert names <= set(dir(jiwer))
    for module in ("alignment", "measures", "process", "transforms", "transformations"):
        theirs = importlib.import_module(f"jiwer.{module}")
        ours = importlib.import_module(f"violet.compat.jiwer.{module}")
        public = [name for name in dir(theirs) if not name.startswith("_")]
        own = {name for name in public if getattr(getattr(theirs, name), "__module__", None) == theirs.__name__}
        assert own <= set(dir(ours))
        for name in own:
            assert list(inspect.signature(getattr(ours, name)).parameters) == list(
                inspect.signature(getattr(theirs, name)).parameters
            )


@pytest.mark.parametrize("flags", [[], ["-c"], ["-a"], ["-g"], ["-c", "-a", "-g"]])
def test_the_command_prints_what_jiwers_prints(flags: list[str], tmp_path: Path) -> None:
    said, heard = tmp_path / "said.txt", tmp_path / "heard.txt"
    said.write_text("the cat  sat\n\nx\nnaïve 你好 * is\n", encoding="utf-8")
    heard.write_text("the cat\nnaive 你 is here\n", encoding="utf-8")
    printed = [
        subprocess.run(
            [sys.executable, "-m", module, "-r", said, "-h", heard, *flags], check=True, capture_output=True
        ).stdout
        for module in ("violet.compat.jiwer", "jiwer.cli")
    ]
    assert printed[0] == printed[1]
    assert printed[0]
