"""CMUdict's pronunciations in the notation of espeak-ng's `en-us`: a part of make_english.py.

The conventions were read off espeak-ng's output (it is a program of comparison only: nothing of it is in the tables).
"""

# ruff: noqa: RUF001 RUF002 (phonemes are written in IPA)

import re

VOWELS = {
    "AA": "ɑː", "AE": "æ", "AH": "ʌ", "AO": "ɔː", "AW": "aʊ", "AY": "aɪ", "EH": "ɛ", "ER": "ɜː", "EY": "eɪ", "IH": "ɪ",
    "IY": "iː", "OW": "oʊ", "OY": "ɔɪ", "UH": "ʊ", "UW": "uː",
}  # fmt: skip
CONSONANTS = {
    "B": "b", "CH": "tʃ", "D": "d", "DH": "ð", "F": "f", "G": "ɡ", "HH": "h", "JH": "dʒ", "K": "k", "L": "l", "M": "m",
    "N": "n", "NG": "ŋ", "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ", "T": "t", "TH": "θ", "V": "v", "W": "w", "Y": "j",
    "Z": "z", "ZH": "ʒ",
}  # fmt: skip
MARKS = {0: "", 1: "ˈ", 2: "ˌ"}


class Word:
    """A word, its phones, and the letter that says each."""

    def __init__(self, spelling: str, phones: list[str], letters: list[int]) -> None:
        self.spelling = spelling
        self.phones = [re.sub(r"\d", "", phone) for phone in phones]
        self.letters = letters
        self.vowels = [at for at, phone in enumerate(self.phones) if phone in VOWELS]
        self.stress = {at: int(phones[at][-1]) for at in self.vowels}
        primary = [at for at in self.vowels if self.stress[at] == 1]
        for at in primary[1:]:
            self.stress[at] = 2
        if self.vowels and not primary:
            self.stress[self.vowels[0]] = 1

    def phone(self, at: int) -> str:
        """The phone at an index; empty outside the word."""
        return self.phones[at] if 0 <= at < len(self.phones) else ""

    def letter(self, at: int) -> str:
        """The letter that says a phone."""
        return self.spelling[self.letters[at]] if self.letters else ""

    def rest(self, at: int) -> str:
        """The spelling from the letter that says a phone."""
        return self.spelling[self.letters[at] :] if self.letters else ""

    def next_stress(self, at: int) -> int:
        """The stress of the vowel behind the one at an index."""
        order = self.vowels.index(at)
        return self.stress[self.vowels[order + 1]] if order + 1 < len(self.vowels) else 0


def reduced(word: Word, at: int) -> str:
    """An unstressed AH, IH or EH, whose colour is its letter's."""
    phone, letter, rest = word.phones[at], word.letter(at), word.rest(at)
    before, after, second = word.phone(at - 1), word.phone(at + 1), word.phone(at + 2)
    first, last = at == word.vowels[0], at == word.vowels[-1]
    prefix = re.match("re|de|be|di(?!s)", word.spelling)
    if phone == "EH":
        return "ɛ"
    if letter == "u" and phone == "AH":
        if first and re.match("un|sub", word.spelling):
            return "ʌ"
        if before in ("Y", "CH", "JH"):
            return "ʊ" if rest.startswith("ul") else "uː"
        return "ʌ" if first and not last and re.match("ul|um|up", rest) else "ə"
    if letter == "a":
        if rest.startswith("age") and last:
            return "ɪ"
        if phone == "IH":
            return "ɪ" if after in ("K", "JH") else "ə"
        if word.letters[at] == 0 or (word.next_stress(at) == 1 and after not in ("L", "R", "N", "M")):
            return "ɐ"
        return "ə"
    if letter in ("e", "i", "y") and letter:
        return reduced_front(word, at, first=first, last=last, prefix=bool(prefix))
    if phone == "IH":
        return "ə" if letter == "o" else "ɪ"
    if word.letters and word.letters[at] == 0 and phone == "AH" and letter not in ("o", "e"):
        return "ɐ"
    return "ə" if second != "" or phone == "AH" else "ɪ"


def reduced_front(word: Word, at: int, *, first: bool, last: bool, prefix: bool) -> str:
    """An unstressed vowel that is written with e, i or y: ə before sonorants, else ɪ or, in some endings, ᵻ."""
    phone, letter, rest = word.phones[at], word.letter(at), word.rest(at)
    before, after, second = word.phone(at - 1), word.phone(at + 1), word.phone(at + 2)
    vowel_follows = second in VOWELS
    if re.match("ibl[ey]|ibil", rest):
        return "ᵻ" if rest[3] in "ey" else "ə"
    if after == "L" and (not vowel_follows or rest.startswith("able")):
        return "ə"
    if (
        after in ("N", "M")
        and letter == "e"
        and rest.startswith(("en", "em"))
        and not (first and word.letters[at] == 0)
    ):
        return "ə"
    if rest.startswith("ess") and word.spelling[word.letters[at] - 1] in "ln":
        return "ə"
    if phone == "AH" and (before == "IY" or rest.startswith("io")):
        return "ə"
    if re.match("ia|ious?|ium", rest):
        return "ə"
    if (
        phone == "IH"
        and letter == "e"
        and first
        and (rest.startswith("ex") or (word.letters[at] == 0 and after in ("N", "M", "NG")))
    ):
        return "ɛ"
    if first and prefix and word.letters[at] <= 2 and word.next_stress(at):
        return "ᵻ"
    if last and re.fullmatch("es|ed|e's", rest):
        return "ᵻ"
    if re.match("i(ty|ties|tive|tiv|tat|tor|fy|fi|cat|gat|nat|nit|dit|pat|vat|lat|zat)", rest):
        return "ᵻ"
    return "ɪ"


def high_front(word: Word, at: int) -> str:
    """An unstressed IY."""
    letter, rest = word.letter(at), word.rest(at)
    before, after = word.phone(at - 1), word.phone(at + 1)
    first = at == word.vowels[0]
    if first and letter == "e" and re.match("re|de|be", word.spelling):
        return "iː" if after in VOWELS else "ᵻ"
    if first and letter == "e" and re.match("pre|e", word.spelling):
        return "iː" if after in VOWELS else "ɪ"
    if after in VOWELS and letter == "i":
        if re.match("ium|ian|ias?$|ier", rest) or (before == "R" and word.phone(at - 2) not in ("AO", "IH", "IY")):
            return "i"
        return "i" if after == "ER" else "ɪ"
    if after in VOWELS and letter == "e" and before != "R":
        return "iː" if after in ("EY", "IH") else "i"
    return "iː" if re.match("ee|ea", rest) and after not in VOWELS else "i"


def open_back(word: Word, at: int) -> str:
    """AO and AA, which espeak-ng tells apart by the spelling."""
    phone, letter, rest, after = word.phones[at], word.letter(at), word.rest(at), word.phone(at + 1)
    if after == "R":
        if phone == "AA":
            return "ɑː"
        if re.match("ore|our|oar|oor", rest):
            return "oː"
        if not word.stress[at]:
            return "ɔː"
        port = word.letters and word.spelling[max(0, word.letters[at] - 1)] == "p"
        return "oː" if port or re.fullmatch("ors?", rest) or re.match("or(i[aeou]|ce)", rest) else "ɔː"
    if rest.startswith(("au", "aw", "all")):
        return "ɔː"
    if letter == "a" and re.match("als|alt", rest):
        return "ɔ"
    before = word.spelling[word.letters[at] - 1 : word.letters[at]] if word.letters else ""
    if phone == "AA":
        if before == "w" and letter == "a" and after in ("N", "L", "SH"):
            return "ɔ"
        return "ɔ" if re.match("ost|oft|off|osit", rest) else "ɑː"
    if before == "w" and letter == "a" and after == "N":
        return "ɔ"
    if letter == "o" and (after in ("S", "F", "TH", "NG", "SH") or rest.startswith("ong")):
        return "ɔ"
    return (
        "ɑː" if letter == "o" and after in ("N", "D", "G", "K", "P", "L", "T", "M") and not re.match("ou|oa", rest) else "ɔː"
    )


def vowel(word: Word, at: int) -> str:
    """A vowel, before the stress marks are placed."""
    phone, stress, rest = word.phones[at], word.stress[at], word.rest(at)
    after, first = word.phone(at + 1), at == word.vowels[0]
    prefixed = first and re.match("re|de|be", word.spelling) and word.next_stress(at) == 1
    if phone == "ER":
        return "ɜː" if stress else "ɚ"
    if phone in ("AH", "IH", "EH") and stress != 1 and (phone == "AH" or not stress):
        return reduced(word, at)
    if phone in ("IH", "IY") and stress == 2 and prefixed:
        return "ᵻ"
    if phone == "IY" and not stress:
        return high_front(word, at)
    if phone in ("IY", "IH") and after == "R":
        # "period", "hero", but "here", "serious".
        is_long = word.phone(at + 2) in VOWELS and re.match("er[aio]", rest) and not word.spelling.startswith("ser")
        return "iə" if is_long else "ɪ"
    if phone == "IY" and after == "AH":
        return "iː" if word.phone(at + 2) == "L" and word.spelling.endswith("real") else "i"
    if phone in ("AO", "AA"):
        return open_back(word, at)
    if phone == "AE" and stress != 1 and word.letters and word.letters[at] == 0 and word.next_stress(at) == 1:
        return "ɐ" if re.match("a[dcbsgpt](?!t)", rest) else "æ"
    if phone == "EH" and after == "R" and word.letter(at) == "a" and stress:
        is_open = re.match("ar[raeiouy]", rest) and not re.match("are|ari(a|o|ng|e|er|est)|ary|aring|aria", rest)
        return "æ" if is_open else "ɛ"
    if phone == "UW" and after == "R":
        return "ʊ"
    return VOWELS[phone]


def segments(word: Word) -> list[str]:
    """The phones in espeak-ng's letters, without stress marks."""
    said = []
    for at, phone in enumerate(word.phones):
        before, after = word.phone(at - 1), word.phone(at + 1)
        if phone in VOWELS:
            x = vowel(word, at)
            if phone == "ER" and after in VOWELS:
                x += "ɹ"
            elif phone == "AY" and after == "R":
                x = "aɪɚ"
        else:
            x = CONSONANTS[phone]
            if phone == "N" and after in ("K", "G"):
                x = "ŋ"
            elif phone == "R" and before == "UH" and after in VOWELS:
                x = "ɹɹ"
            elif phone == "W" and before == "AH" and after in VOWELS and word.letter(at - 1) == "u":
                x, said[-1] = "", "uː"
            elif phone == "Y" and after in VOWELS and before in ("L", "N") and word.letter(at) == "i":
                x = "i"
            elif phone == "Z" and word.spelling.startswith("trans") and at == 4:
                x = "s"
        said.append(x)
    for at in range(len(said) - 2):
        if (
            word.rest(at).startswith("ally")
            and word.phones[at : at + 3] == ["AH", "L", "IY"]
            and word.phone(at - 1) == "K"
        ):
            said[at] = ""
    return said


def place_stress(word: Word, said: list[str]) -> list[int]:
    """One main stress; none beside it; and a second one on full vowels further behind."""
    stress = [word.stress[at] for at in word.vowels]
    if not stress:
        return []
    main = stress.index(1)
    for order, at in enumerate(word.vowels):
        if stress[order] != 2:
            continue
        beside = (order > 0 and stress[order - 1]) or stress[order + 1 : order + 2] == [1]
        is_weak = word.phones[at] == "IY" and (
            (order == len(stress) - 1 and word.letter(at) == "y")
            or (word.phone(at + 1) in VOWELS and word.letter(at) == "i")
        )
        if beside or is_weak:
            stress[order] = 0
        if is_weak:
            said[at] = "i"
    full = ("aɪ", "eɪ", "æ", "ɑː", "ɔː", "aʊ", "iː", "ɛ")
    for order in range(main + 2, len(stress)):
        at = word.vowels[order]
        if not stress[order] and not stress[order - 1] and not any(stress[order + 1 : order + 2]):
            is_full = said[at] in full or (said[at] == "ɪ" and re.match("ist|iv|ics|it|in(s|e)?$|ips?$", word.rest(at)))
            stress[order] = 2 if is_full else 0
    return stress


def flap(word: Word, said: list[str], unstressed: set[int]) -> None:
    """T between a vowel, or r, and an unstressed vowel."""
    for at, phone in enumerate(word.phones):
        if phone != "T" or at + 1 not in unstressed:
            continue
        before, after = word.phone(at - 1), word.phone(at + 1)
        if before not in VOWELS and not (before == "R" and after in ("IY", "AH", "IH", "ER", "OW")):
            continue
        if said[at + 1] != "ə" or word.phone(at + 2) != "N":
            said[at] = "ɾ"
        elif re.match("tt[eo]n|t[eo]ns?(ed)?$", word.rest(at)):
            said[at : at + 3] = ["ʔ", "n̩", ""]
        else:
            said[at] = "t" if word.rest(at).startswith(("ten", "tan", "tain", "ton")) else "ɾ"


def notation(spelling: str, phones: list[str], letters: list[int]) -> list[str]:
    """The phonemes of every phone, with stress marks: an empty string where two became one."""
    word = Word(spelling, phones, letters)
    said = segments(word)
    stress = place_stress(word, said)
    flap(word, said, {at for at, mark in zip(word.vowels, stress, strict=True) if not mark})
    for at, mark in zip(word.vowels, stress, strict=True):
        said[at] = MARKS[mark] + said[at]
    return said
