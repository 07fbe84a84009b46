use super::*;

/// The words of a text; letters that are spelled with points between, phonemes in brackets, pauses as they are.
fn spoken(text: &str) -> String {
    let mut said = String::new();
    for spoken in pieces(text) {
        let (space, piece) = match spoken.piece {
            Piece::Word(word) => (" ", word),
            Piece::Letters(letters) => (" ", letters.chars().map(String::from).collect::<Vec<_>>().join(".")),
            Piece::Phonemes(phonemes) => (" ", format!("[{phonemes}]")),
            Piece::Pause(mark) => ("", mark.to_string()),
            Piece::Unknown(c) => (" ", format!("<{c}>")),
        };
        said.push_str(if said.is_empty() { "" } else { space });
        said.push_str(&piece);
    }
    said
}

#[track_caller]
fn check(table: &[(&str, &str)]) {
    let wrong: Vec<String> = table
        .iter()
        .filter(|(text, want)| spoken(text) != *want)
        .map(|(text, want)| format!("{text:?}: {:?}, not {want:?}", spoken(text)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn numbers() {
    check(&[
        ("12", "twelve"),
        ("1,234", "one thousand two hundred thirty four"),
        ("-3.5", "minus three point five"),
        ("+7", "plus seven"),
        ("21st", "twenty first"),
        ("The 3rd.", "The third."),
        ("0.05", "zero point zero five"),
        ("007", "zero zero seven"),
        ("10-20", "ten to twenty"),
        ("5,5", "five, five"),
        ("1.2.3", "one point two point three"),
        ("3 items, 4 boxes", "three items, four boxes"),
        ("x2", "x two"),
        ("10^6", "ten to the power of six"),
        ("6.02e23", "six point zero two times ten to the twenty three"),
        ("1E-9", "one times ten to the minus nine"),
        ("room 2E5", "room two E five"),
    ]);
}

#[test]
fn years_and_dates() {
    check(&[
        ("In 1999 we", "In nineteen ninety nine we"),
        ("In 2005.", "In two thousand five."),
        ("the 1990s", "the nineteen nineties"),
        ("the '90s", "the nineties"),
        ("2024-01-05", "January fifth twenty twenty four"),
        ("12/25/2023", "December twenty fifth twenty twenty three"),
        ("January 5, 2024, was", "January fifth twenty twenty four, was"),
        ("on Jan. 5th", "on January fifth"),
        ("5 May 1945", "the fifth of May nineteen forty five"),
        ("May 2024", "May twenty twenty four"),
        ("1914–1918", "nineteen fourteen to nineteen eighteen"),
        ("at 2024-01-05T14:30:00Z.", "at January fifth twenty twenty four, fourteen thirty U.T.C."),
    ]);
}

#[test]
fn times() {
    check(&[
        ("10:30 am", "ten thirty a.m"),
        ("at 5 p.m. today", "at five p.m today"),
        ("9:05", "nine oh five"),
        ("12:00", "twelve o'clock"),
        ("7am", "seven a.m"),
        ("16:00", "sixteen hundred"),
        ("1:02:03", "one oh two and three seconds"),
        ("12:00:00", "twelve o'clock"),
        ("25:00", "twenty five: zero zero"),
    ]);
}

#[test]
fn money() {
    check(&[
        ("$5", "five dollars"),
        ("$1", "one dollar"),
        ("$3.50", "three dollars and fifty cents"),
        ("$0.99", "ninety nine cents"),
        ("£2.01", "two pounds and one penny"),
        ("€1,000", "one thousand euros"),
        ("$2.5 million", "two point five million dollars"),
        ("$3bn", "three billion dollars"),
        ("-$20", "minus twenty dollars"),
        ("5€", "five euros"),
        ("$", "dollar"),
    ]);
}

#[test]
fn units_and_fractions() {
    check(&[
        ("5 km", "five kilometers"),
        ("1 kg", "one kilogram"),
        ("20°C", "twenty degrees Celsius"),
        ("50%", "fifty percent"),
        ("60 mph", "sixty miles per hour"),
        ("5-10%", "five to ten percent"),
        ("1/2", "one half"),
        ("3 1/2 cups", "three and a half cups"),
        ("2½", "two and a half"),
        ("3/4", "three quarters"),
        ("5 in the box", "five in the box"),
        ("16GB", "sixteen gigabytes"),
        ("8 MB/s", "eight megabytes per second"),
        ("1 mg/l.", "one milligram per liter."),
        ("100Mbps", "one hundred megabits per second"),
        ("20 EUR", "twenty euros"),
    ]);
}

#[test]
fn telephone_numbers() {
    check(&[
        ("555-0199", "five five five, zero one nine nine"),
        ("(800) 555-0199", "eight hundred, five five five, zero one nine nine"),
        ("+1 212 555 0199", "plus one, two one two, five five five, zero one nine nine"),
    ]);
}

#[test]
fn abbreviations() {
    check(&[
        ("Dr. Smith", "doctor Smith"),
        ("Mr. and Mrs. Jones", "mister and missus Jones"),
        ("St. Paul", "saint Paul"),
        ("Main St.", "Main street."),
        ("etc.", "et cetera."),
        ("e.g. this", "for example this"),
        ("No. 5", "number five"),
        ("No.", "No."),
        ("cats vs. dogs", "cats versus dogs"),
        ("Acme Inc.", "Acme incorporated."),
    ]);
}

#[test]
fn acronyms() {
    check(&[
        ("the FBI", "the F.B.I"),
        ("NASA", "NASA"),
        ("the U.S.A.", "the U.S.A."),
        ("PCs", "P.C.s"),
        ("HTML", "H.T.M.L"),
        ("do NOT go", "do NOT go"),
        ("US law", "U.S law"),
        ("MP3", "M.P three"),
        ("COVID-19", "COVID nineteen"),
        ("STOP THE CAR NOW", "STOP THE CAR NOW"),
        ("an iPhone", "an i Phone"),
    ]);
}

#[test]
fn roman_numerals() {
    check(&[
        ("Henry VIII", "Henry the eighth"),
        ("World War II", "World War two"),
        ("Chapter IV", "Chapter four"),
        ("Part I", "Part one"),
        ("I went", "I went"),
        ("MIX", "M.I.X"),
    ]);
}

#[test]
fn addresses() {
    check(&[
        ("www.example.com", "w.w.w dot example dot com"),
        ("https://example.org/a_b", "example dot org slash a underscore b"),
        ("me@example.com.", "me at example dot com."),
    ]);
}

#[test]
fn signs() {
    check(&[
        ("A & B", "A and B"),
        ("1 + 1 = 2", "one plus one equals two"),
        ("#1", "number one"),
        ("#tag", "hashtag tag"),
        ("and/or", "and slash or"),
        ("tea w/o milk, w/ sugar", "tea without milk, with sugar"),
        ("well-known", "well known"),
        ("(yes)", "yes,"),
        ("so — yes", "so, yes"),
        ("wait...", "wait."),
        ("\"Hi,\" he", "Hi, he"),
        ("☃ 你", "<☃> <你>"),
        ("don’t", "don’t"),
        ("[[həlˈoʊ]] x", "[həlˈoʊ] x"),
        ("--- ***", ""),
    ]);
}

#[test]
fn ranges_are_of_the_text() {
    let text = "Pay $5, Dr. Wu!";
    let of = |word: &str| {
        pieces(text)
            .into_iter()
            .find(|spoken| spoken.piece == Piece::Word(word.to_owned()))
            .map(|spoken| &text[spoken.range])
    };
    assert_eq!((of("five"), of("dollars"), of("doctor"), of("Wu")), (Some("$5"), Some("$5"), Some("Dr"), Some("Wu")));
}
