//! The words of English numbers.

/// What a word can be in a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::text::normalizer) enum Numeral {
    /// `oh`.
    Zero,
    /// `one` to `nineteen`.
    Ones(u8),
    /// `sixes`, `sixth`.
    OnesSuffixed(u8, &'static str),
    /// `twenty`.
    Tens(u8),
    /// `twenties`, `twentieth`.
    TensSuffixed(u8, &'static str),
    /// `hundred`, ten to the power of 2.
    Multiplier(u8),
    /// `hundreds`, `hundredth`.
    MultiplierSuffixed(u8, &'static str),
    /// `minus`.
    Sign(char),
    /// `dollars`.
    Currency(char),
    /// `per` of `per cent`.
    Per,
    /// `percent`.
    Percent,
    /// `and`.
    And,
    /// `double`, `triple`: how often the next digit counts.
    Repeat(u8),
    /// `point`.
    Point,
}

use Numeral::{
    And, Currency, Multiplier, MultiplierSuffixed, Ones, OnesSuffixed, Per, Percent, Point, Repeat, Sign, Tens,
    TensSuffixed, Zero,
};

impl Numeral {
    /// Whether a digit of a decimal fraction can be said so.
    pub(super) fn is_decimal(self) -> bool {
        matches!(self, Ones(_) | Tens(_) | Zero)
    }
}

/// Words from one to nineteen, with their ordinal and plural.
const ONES: [[&str; 3]; 19] = [
    ["one", "first", "ones"],
    ["two", "second", "twos"],
    ["three", "third", "threes"],
    ["four", "fourth", "fours"],
    ["five", "fifth", "fives"],
    ["six", "sixth", "sixes"],
    ["seven", "seventh", "sevens"],
    ["eight", "eighth", "eights"],
    ["nine", "nineth", "nines"],
    ["ten", "tenth", "tens"],
    ["eleven", "eleventh", "elevens"],
    ["twelve", "twelfth", "twelves"],
    ["thirteen", "thirteenth", "thirteens"],
    ["fourteen", "fourteenth", "fourteens"],
    ["fifteen", "fifteenth", "fifteens"],
    ["sixteen", "sixteenth", "sixteens"],
    ["seventeen", "seventeenth", "seventeens"],
    ["eighteen", "eighteenth", "eighteens"],
    ["nineteen", "nineteenth", "nineteens"],
];

/// Words from twenty to ninety, with their ordinal and plural.
const TENS: [[&str; 3]; 8] = [
    ["twenty", "twentieth", "twenties"],
    ["thirty", "thirtieth", "thirties"],
    ["forty", "fortieth", "forties"],
    ["fifty", "fiftieth", "fifties"],
    ["sixty", "sixtieth", "sixties"],
    ["seventy", "seventieth", "seventies"],
    ["eighty", "eightieth", "eighties"],
    ["ninety", "ninetieth", "nineties"],
];

/// Powers of ten, with their ordinal and plural.
const MULTIPLIERS: [([&str; 3], u8); 12] = [
    (["hundred", "hundredth", "hundreds"], 2),
    (["thousand", "thousandth", "thousands"], 3),
    (["million", "millionth", "millions"], 6),
    (["billion", "billionth", "billions"], 9),
    (["trillion", "trillionth", "trillions"], 12),
    (["quadrillion", "quadrillionth", "quadrillions"], 15),
    (["quintillion", "quintillionth", "quintillions"], 18),
    (["sextillion", "sextillionth", "sextillions"], 21),
    (["septillion", "septillionth", "septillions"], 24),
    (["octillion", "octillionth", "octillions"], 27),
    (["nonillion", "nonillionth", "nonillions"], 30),
    (["decillion", "decillionth", "decillions"], 33),
];

const OTHERS: [(&str, Numeral); 22] = [
    ("o", Zero),
    ("oh", Zero),
    ("zero", Zero),
    ("zeroth", OnesSuffixed(0, "th")),
    ("minus", Sign('-')),
    ("negative", Sign('-')),
    ("plus", Sign('+')),
    ("positive", Sign('+')),
    ("pound", Currency('£')),
    ("pounds", Currency('£')),
    ("euro", Currency('€')),
    ("euros", Currency('€')),
    ("dollar", Currency('$')),
    ("dollars", Currency('$')),
    ("cent", Currency('¢')),
    ("cents", Currency('¢')),
    ("per", Per),
    ("percent", Percent),
    ("and", And),
    ("double", Repeat(2)),
    ("triple", Repeat(3)),
    ("point", Point),
];

/// Every word that can be a part of a number.
pub(in crate::text::normalizer) fn vocabulary() -> impl Iterator<Item = (&'static str, Numeral)> {
    let ones = ONES.iter().zip(1..).flat_map(|([cardinal, ordinal, plural], value)| {
        let suffix = match value {
            1 => "st",
            2 => "nd",
            3 => "rd",
            _ => "th",
        };
        [(*cardinal, Ones(value)), (*ordinal, OnesSuffixed(value, suffix)), (*plural, OnesSuffixed(value, "s"))]
    });
    let tens = TENS.iter().zip(2..).flat_map(|([cardinal, ordinal, plural], value)| {
        let value = value * 10;
        [(*cardinal, Tens(value)), (*ordinal, TensSuffixed(value, "th")), (*plural, TensSuffixed(value, "s"))]
    });
    let multipliers = MULTIPLIERS.iter().flat_map(|&([cardinal, ordinal, plural], power)| {
        [
            (cardinal, Multiplier(power)),
            (ordinal, MultiplierSuffixed(power, "th")),
            (plural, MultiplierSuffixed(power, "s")),
        ]
    });
    ones.chain(tens).chain(multipliers).chain(OTHERS)
}
