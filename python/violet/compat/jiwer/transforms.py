"""jiwer 4's transforms: what is done to texts before they are compared."""

import re
import string
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any

type Transform = Callable[[Any], Any]


class AbstractTransform:
    """One step; it takes a string or a list of strings."""

    def __call__(self, sentences: str | list[str]) -> Any:  # noqa: ANN401
        """The transformed string or list.

        Raises:
            ValueError: For anything else.
        """
        if isinstance(sentences, str):
            return self.process_string(sentences)
        if isinstance(sentences, list):
            return self.process_list(sentences)
        raise ValueError(f"input {sentences} was expected to be a string or list of strings")

    def process_string(self, s: str) -> Any:  # noqa: ANN401
        """The transformed string."""
        raise NotImplementedError

    def process_list(self, inp: list[str]) -> Any:  # noqa: ANN401
        """The transformed list."""
        return [self.process_string(s) for s in inp]


class Compose:
    """Several transforms, one after the other."""

    def __init__(self, transforms: list[Transform]) -> None:
        self.transforms = transforms

    def __call__(self, text: str | list[str]) -> Any:  # noqa: ANN401
        """What the last transform gives."""
        result: Any = text
        for transform in self.transforms:
            result = transform(result)
        return result


class BaseRemoveTransform(AbstractTransform):
    """Replaces texts wherever they stand, in words too."""

    def __init__(self, tokens_to_remove: Iterable[str], replace_token: str = "") -> None:
        self.tokens_to_remove = tokens_to_remove
        self.replace_token = replace_token

    def process_string(self, s: str) -> str:
        """The string with all replacements, in their order."""
        for token in self.tokens_to_remove:
            s = s.replace(token, self.replace_token)
        return s


class _Reduce(AbstractTransform):
    """A list of tokens for every string."""

    def process_list(self, inp: list[str]) -> list[list[str]]:
        """One list of tokens for each string; one empty list for no string."""
        return [self.process_string(s)[0] for s in inp] or [[]]


class ReduceToListOfListOfWords(_Reduce):
    """Splits every string at the delimiter; empty words are dropped."""

    def __init__(self, word_delimiter: str = " ") -> None:
        self.word_delimiter = word_delimiter

    def process_string(self, s: str) -> list[list[str]]:
        """The words, in a list of their own."""
        return [[word for word in s.split(self.word_delimiter) if word]]


class ReduceToListOfListOfChars(_Reduce):
    """Splits every string into its characters."""

    def process_string(self, s: str) -> list[list[str]]:
        """The characters, in a list of their own."""
        return [list(s)]


class ReduceToSingleSentence(AbstractTransform):
    """Joins all strings to one; empty ones are left out."""

    def __init__(self, word_delimiter: str = " ") -> None:
        self.word_delimiter = word_delimiter

    def process_string(self, s: str) -> str:
        """The string itself."""
        return s

    def process_list(self, inp: list[str]) -> list[str]:
        """A list of the one string; an empty list if nothing is in it."""
        sentences = [s for s in inp if s]
        return [self.word_delimiter.join(sentences)] if sentences else []


class SubstituteRegexes(AbstractTransform):
    """Replaces what regular expressions match."""

    def __init__(self, substitutions: Mapping[str, str]) -> None:
        self.substitutions = substitutions

    def process_string(self, s: str) -> str:
        """The string with all replacements, in their order."""
        for pattern, replacement in self.substitutions.items():
            s = re.sub(pattern, replacement, s)
        return s


class SubstituteWords(AbstractTransform):
    """Replaces whole words."""

    def __init__(self, substitutions: Mapping[str, str]) -> None:
        self.substitutions = substitutions

    def process_string(self, s: str) -> str:
        """The string with all replacements, in their order."""
        for word, replacement in self.substitutions.items():
            s = re.sub(rf"\b{re.escape(word)}\b", replacement, s)
        return s


class RemoveSpecificWords(SubstituteWords):
    """Replaces whole words by a space."""

    def __init__(self, words_to_remove: list[str]) -> None:
        super().__init__(dict.fromkeys(words_to_remove, " "))


class RemoveWhiteSpace(AbstractTransform):
    """Removes ASCII white space, or makes a space of each."""

    def __init__(self, replace_by_space: bool = False) -> None:
        self._table = str.maketrans(dict.fromkeys(string.whitespace, " " if replace_by_space else ""))

    def process_string(self, s: str) -> str:
        """The string without it."""
        return s.translate(self._table)


class RemovePunctuation(AbstractTransform):
    """Removes characters whose Unicode category is punctuation."""

    def process_string(self, s: str) -> str:
        """The string without them."""
        return "".join(c for c in s if not unicodedata.category(c).startswith("P"))


class RemoveMultipleSpaces(AbstractTransform):
    """Makes one space of two or more white-space characters in a row."""

    def process_string(self, s: str) -> str:
        """The string with single spaces."""
        return _SPACES.sub(" ", s)


class Strip(AbstractTransform):
    """Removes white space at both ends."""

    def process_string(self, s: str) -> str:
        """The string without it."""
        return s.strip()


class RemoveEmptyStrings(AbstractTransform):
    """Removes strings of white space from lists."""

    def process_string(self, s: str) -> str:
        """The string without white space at both ends."""
        return s.strip()

    def process_list(self, inp: list[str]) -> list[str]:
        """The list without them."""
        return [s for s in inp if s.strip()]


class ExpandCommonEnglishContractions(AbstractTransform):
    """Writes English contractions out."""

    def process_string(self, s: str) -> str:
        """The string with full words."""
        for short, full in _CONTRACTIONS.items():
            s = s.replace(short, full)
        return s


class ToLowerCase(AbstractTransform):
    """Lower case."""

    def process_string(self, s: str) -> str:
        """The string in it."""
        return s.lower()


class ToUpperCase(AbstractTransform):
    """Upper case."""

    def process_string(self, s: str) -> str:
        """The string in it."""
        return s.upper()


class RemoveKaldiNonWords(AbstractTransform):
    """Removes what stands in `<>` or `[]`."""

    def process_string(self, s: str) -> str:
        """The string without it."""
        return _NON_WORDS.sub("", s)


_SPACES = re.compile(r"\s\s+")
_NON_WORDS = re.compile(r"[<\[][^>\]]*[>\]]")
_CONTRACTIONS: Mapping[str, str] = {
    "won't": "will not",
    "can't": "can not",
    "let's": "let us",
    "n't": " not",
    "'re": " are",
    "'s": " is",
    "'d": " would",
    "'ll": " will",
    "'t": " not",
    "'ve": " have",
    "'m": " am",
}
