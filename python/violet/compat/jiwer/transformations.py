"""jiwer 4's ready-made transforms: what texts go through where nothing else is said."""

from collections.abc import Iterable

from violet.compat.jiwer.transforms import (
    Compose,
    ExpandCommonEnglishContractions,
    ReduceToListOfListOfChars,
    ReduceToListOfListOfWords,
    ReduceToSingleSentence,
    RemoveKaldiNonWords,
    RemoveMultipleSpaces,
    RemoveWhiteSpace,
    Strip,
    ToLowerCase,
    Transform,
)


def _words(*before: Transform) -> Compose:
    return Compose([*before, RemoveMultipleSpaces(), Strip(), ReduceToListOfListOfWords()])


def _contiguous(*before: Transform) -> Compose:
    return Compose([*before, RemoveMultipleSpaces(), Strip(), ReduceToSingleSentence(), ReduceToListOfListOfWords()])


def _standard() -> Iterable[Transform]:
    return (
        ToLowerCase(),
        ExpandCommonEnglishContractions(),
        RemoveKaldiNonWords(),
        RemoveWhiteSpace(replace_by_space=True),
    )


wer_default = _words()
"""Words between spaces."""
wer_contiguous = _contiguous()
"""The same, of all strings joined to one."""
wer_standardize = _words(*_standard())
"""Lower-case words with contractions written out, without `<>` and `[]`."""
wer_standardize_contiguous = _contiguous(*_standard())
"""The same, of all strings joined to one."""
cer_default = Compose([Strip(), ReduceToListOfListOfChars()])
"""Characters, spaces among them."""
cer_contiguous = Compose([Strip(), ReduceToSingleSentence(), ReduceToListOfListOfChars()])
"""The same, of all strings joined to one."""
