"""jiwer 4's views of alignments and errors, character for character."""

from collections import defaultdict

from violet.compat.jiwer.process import AlignmentChunk, CharacterOutput, WordOutput

type Output = WordOutput | CharacterOutput


def visualize_alignment(
    output: Output, show_measures: bool = True, skip_correct: bool = True, line_width: int | None = None
) -> str:
    """References over hypotheses over the letters of their errors.

    Args:
        output: What `process_words` or `process_characters` gave.
        show_measures: Whether counts and rates follow.
        skip_correct: Whether sentences without errors are left out.
        line_width: Where lines are broken, if they are.
    """
    separator = "" if isinstance(output, CharacterOutput) else " "
    parts = []
    for number, (reference, hypothesis, chunks) in enumerate(
        zip(output.references, output.hypotheses, output.alignments, strict=True), 1
    ):
        if skip_correct and all(chunk.type == "equal" for chunk in chunks):
            continue
        lines = _lines(reference, hypothesis, chunks, separator, line_width)
        parts.append(f"=== SENTENCE {number} ===\n\n{lines}\n")
    text = "".join(parts)
    return text + _summary(output) if show_measures else text[:-1]


def _summary(output: Output) -> str:
    counts = " ".join(
        f"{name}={getattr(output, name)}" for name in ("substitutions", "deletions", "insertions", "hits")
    )
    names = ("cer",) if isinstance(output, CharacterOutput) else ("mer", "wil", "wip", "wer")
    rates = "".join(f"\n{name}={getattr(output, name) * 100:.2f}%" for name in names)
    return f"=== SUMMARY ===\nnumber of sentences: {len(output.alignments)}\n{counts}\n{rates}\n"


def _columns(reference: list[str], hypothesis: list[str], chunks: list[AlignmentChunk]) -> list[tuple[str, str, str]]:
    columns: list[tuple[str, str, str]] = []
    for chunk in chunks:
        said = reference[chunk.ref_start_idx : chunk.ref_end_idx]
        heard = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
        if chunk.type == "delete":
            columns += [(token, "*", "D") for token in said]
        elif chunk.type == "insert":
            columns += [("*", token, "I") for token in heard]
        else:
            letter = " " if chunk.type == "equal" else "S"
            columns += [(left, right, letter) for left, right in zip(said, heard, strict=True)]
    return columns


def _lines(
    reference: list[str],
    hypothesis: list[str],
    chunks: list[AlignmentChunk],
    separator: str,
    line_width: int | None,
) -> str:
    blocks = []
    lines = ["REF: ", "HYP: ", "     "]

    def cut() -> str:
        return "\n".join(line[: len(line) - len(separator)] for line in lines) + "\n"

    for left, right, letter in _columns(reference, hypothesis, chunks):
        width = max(len(text) for text in (left, right, letter))
        if line_width is not None and len(lines[0]) + width > line_width:
            blocks.append(cut() + "\n")
            lines = ["REF: ", "HYP: ", "     "]
        # A token that is itself a star is drawn out like a gap, as in jiwer, which looks at the left one first.
        said = "*" * width if left == "*" else left
        heard = "*" * width if right == "*" and left != "*" else right
        for index, text in enumerate((said, heard, letter)):
            lines[index] += f"{text:>{width}}{separator}"
    return "".join(blocks) + cut()


def collect_error_counts(
    output: Output,
) -> tuple[dict[tuple[str, str], int], dict[str, int], dict[str, int]]:
    """How often what was substituted, inserted and deleted; substitutions by (reference, hypothesis)."""
    substitutions: dict[tuple[str, str], int] = defaultdict(int)
    insertions: dict[str, int] = defaultdict(int)
    deletions: dict[str, int] = defaultdict(int)
    separator = "" if isinstance(output, CharacterOutput) else " "
    for reference, hypothesis, chunks in zip(output.references, output.hypotheses, output.alignments, strict=True):
        for chunk in chunks:
            said = separator.join(reference[chunk.ref_start_idx : chunk.ref_end_idx])
            heard = separator.join(hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx])
            if chunk.type == "insert":
                insertions[heard] += 1
            elif chunk.type == "delete":
                deletions[said] += 1
            elif chunk.type == "substitute":
                substitutions[said, heard] += 1
    return substitutions, insertions, deletions


def visualize_error_counts(
    output: Output,
    show_substitutions: bool = True,
    show_insertions: bool = True,
    show_deletions: bool = True,
    top_k: int | None = None,
) -> str:
    """The errors and how often each was made, the most frequent first.

    Args:
        output: What `process_words` or `process_characters` gave.
        show_substitutions: Whether substitutions are listed.
        show_insertions: Whether insertions are listed.
        show_deletions: Whether deletions are listed.
        top_k: How many of each at most.
    """
    substitutions, insertions, deletions = collect_error_counts(output)
    tables: list[tuple[bool, str, dict[tuple[str, ...], int]]] = [
        (show_substitutions, "SUBSTITUTIONS", {(said, heard): n for (said, heard), n in substitutions.items()}),
        (show_insertions, "INSERTIONS", {(key,): n for key, n in insertions.items()}),
        (show_deletions, "DELETIONS", {(key,): n for key, n in deletions.items()}),
    ]
    text = "\n".join(f"=== {title} ===\n{_table(counts, top_k)}" for is_shown, title, counts in tables if is_shown)
    return text.removesuffix("\n")


def _table(counts: dict[tuple[str, ...], int], top_k: int | None) -> str:
    if not counts:
        return "none"
    rows = sorted(counts.items(), key=lambda row: row[1], reverse=True)[:top_k]
    width = max(len(text) for texts, _ in rows for text in texts)
    return "".join(f"{' --> '.join(f'{text:<{width}}' for text in texts)} = {n}x\n" for texts, n in rows)
