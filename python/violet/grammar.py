"""Sentences that nobody has heard before: rare names, numbers, dates and times in ordinary English."""

import random

_FIRST = (
    "Amelia", "Oscar", "Doctor", "Captain", "Professor", "Beatrix", "Thaddeus", "Ottilie", "Caspian", "Henrietta",
    "Lysander", "Philippa", "Ignatius", "Rosalind", "Barnaby", "Cordelia", "Ephraim", "Winifred", "Alistair", "Leonora",
)  # fmt: skip
_ONSETS = ("B", "D", "F", "Gr", "H", "K", "L", "M", "N", "P", "R", "S", "St", "T", "Tr", "V", "W", "Br", "Kl")
_MIDDLES = ("al", "ar", "en", "er", "il", "in", "ol", "on", "or", "un", "am", "ev", "ad", "ell")
_ENDINGS = (
    "berg",
    "dale",
    "field",
    "ford",
    "man",
    "mont",
    "quist",
    "ridge",
    "sen",
    "sky",
    "son",
    "stead",
    "ton",
    "wood",
)
_DEEDS = (
    "sold", "painted", "repaired", "borrowed", "photographed", "counted", "delivered", "ordered", "returned", "weighed",
    "promised us", "gave away", "looked after", "paid for", "asked about", "wrote about",
)  # fmt: skip
_ADJECTIVES = (
    "wooden",
    "silver",
    "heavy",
    "broken",
    "painted",
    "foreign",
    "narrow",
    "empty",
    "early",
    "quiet",
    "bright",
)
_THINGS = (
    "chairs", "lanterns", "maps", "gates", "kettles", "boats", "letters", "windows", "blankets", "engines", "ladders",
    "mirrors", "barrels", "tickets", "curtains", "bridges", "orchards", "umbrellas",
)  # fmt: skip
_PLACES = (
    "near the harbour", "behind the library", "outside the station", "under the bridge", "at the market",
    "along the northern road", "in the old theatre", "beside the river", "above the bakery", "across the valley",
)  # fmt: skip
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_WHEN = ("before", "after", "around")


RARE_SHARE = 0.25
"""Share of names that are in no list: every model mishears some, and one must not decide a miner's worth."""

_LAST = (
    "Hart",
    "Lindqvist",
    "Okafor",
    "Ferrari",
    "Nakamura",
    "Baker",
    "Miller",
    "Carter",
    "Hughes",
    "Murphy",
    "Wright",
)


def draw_name(generator: random.Random) -> str:
    """A name; one in four is in no list, one of some 100,000."""
    if generator.random() >= RARE_SHARE:
        return f"{generator.choice(_FIRST)} {generator.choice(_LAST)}"
    middle = "".join(generator.choice(_MIDDLES) for _ in range(generator.choice((1, 1, 2))))
    return f"{generator.choice(_FIRST)} {generator.choice(_ONSETS)}{middle}{generator.choice(_ENDINGS)}"


def draw_text(generator: random.Random) -> str:
    """A sentence to speak, with a name, a number and a date or time; hardly ever the same twice."""
    name, deed = draw_name(generator), generator.choice(_DEEDS)
    number = generator.choice((generator.randint(2, 19), generator.randint(20, 99), generator.randint(101, 9_999)))
    things = f"{number} {generator.choice(_ADJECTIVES)} {generator.choice(_THINGS)}"
    place, when = generator.choice(_PLACES), generator.choice(_WHEN)
    date = f"{generator.choice(_MONTHS)} {generator.randint(1, 28)}"
    hour = f"{generator.randint(2, 11)} o'clock"
    year = generator.randint(1901, 2039)
    form = generator.randrange(4)
    if form == 0:
        return f"On {date}, {name} {deed} {things} {place} {when} {hour}."
    if form == 1:
        return f"{name} {deed} {things} {place}, and came back on {date}, {year}."
    if form == 2:
        return f"It was {when} {hour} when {name} {deed} {things} {place}."
    return f"In {year} the {generator.choice(_ADJECTIVES)} house {place} had {things}, as {name} said on {date}."
