//! What is and what is not a transcript, and its JSON forms.

use super::*;

fn transcript(times: &[(f64, f64, &str)]) -> Transcript {
    let segment = |(id, &(start, end, text)): (usize, &(f64, f64, &str))| Segment {
        id,
        start,
        end,
        text: text.to_owned(),
        ..Segment::default()
    };
    let segments = times.iter().enumerate().map(segment).collect();
    let text = times.iter().map(|time| time.2).collect();
    Transcript { text, language: "en".to_owned(), duration_s: 4000.0, segments, ..Transcript::default() }
}

#[test]
fn subtitles_are_as_whisper_writes_them() {
    let transcript = transcript(&[(0.0, 0.0125, " And so --> my"), (3599.9996, 3661.25, " fellow ")]);
    assert_eq!(
        transcript.to_srt(&SubtitleOptions::default()),
        "1\n00:00:00,000 --> 00:00:00,012\nAnd so -> my\n\n2\n01:00:00,000 --> 01:01:01,250\nfellow\n\n"
    );
    assert_eq!(
        transcript.to_vtt(&SubtitleOptions::default()),
        "WEBVTT\n\n00:00.000 --> 00:00.012\nAnd so -> my\n\n01:00:00.000 --> 01:01:01.250\nfellow\n\n"
    );
    assert_eq!(transcript.to_txt(), "And so --> my\nfellow\n");
}

#[test]
fn json_round_trips_and_optional_fields_may_be_absent() {
    let transcript = transcript(&[(0.0, 1.5, " a")]);
    let json = transcript.to_json().unwrap();
    assert!(!json.contains("language_probability"));
    assert_eq!(Transcript::from_json(&json).unwrap(), transcript);
}

#[test]
fn impossible_transcripts_are_refused() {
    let good = transcript(&[(0.0, 1.0, " a"), (1.0, 2.0, " b")]);
    let refuse = |change: &dyn Fn(&mut Transcript)| {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(bad.check().is_err(), "{bad:?}");
    };
    good.check().unwrap();
    refuse(&|t| t.duration_s = f64::NAN);
    refuse(&|t| t.duration_s = -1.0);
    refuse(&|t| t.language = "English!".to_owned());
    refuse(&|t| t.language = String::new());
    refuse(&|t| t.text = "a".repeat(MAX_TEXT_BYTES + 1));
    refuse(&|t| t.segments = vec![Segment::default(); MAX_SEGMENTS + 1]);
    refuse(&|t| t.segments[0].start = f64::INFINITY);
    refuse(&|t| t.segments[0].end = -0.5);
    refuse(&|t| t.segments[1].end = 9_000.0);
    refuse(&|t| (t.segments[0].start, t.segments[0].end) = (100.0, 101.0));
    refuse(&|t| t.segments[0].tokens = vec![0; MAX_SEGMENT_TOKENS + 1]);
    refuse(&|t| t.segments[0].no_speech_prob = 1.5);
    refuse(&|t| t.segments[0].avg_logprob = f32::NAN);
    refuse(&|t| t.language_probability = Some(-0.1));
}

#[test]
fn what_is_not_a_transcript_is_refused_with_a_reason() {
    for json in ["", "null", "[]", "{}", "{\"text\": 1}", "{\"text\": \"a\", \"language\": \"en\", \"extra\": 1}"] {
        let message = Transcript::from_json(json).unwrap_err().to_string();
        assert!(message.starts_with("the transcript is not a transcript in JSON"), "{message}");
    }
    assert!(matches!(Transcript::from_json(&" ".repeat(MAX_JSON_BYTES + 1)), Err(Error::TooLarge { .. })));
}

#[test]
fn every_layout_of_subtitles_is_openais() {
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/subtitles.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_str(&file).unwrap();
    // The transcript there has what the writers use, and no more.
    let segments = golden["transcript"]["segments"].as_array().unwrap().iter().map(|segment| Segment {
        start: segment["start"].as_f64().unwrap(),
        end: segment["end"].as_f64().unwrap(),
        text: segment["text"].as_str().unwrap().to_owned(),
        words: serde_json::from_value(segment["words"].clone()).unwrap(),
        ..Segment::default()
    });
    let with_words = Transcript { segments: segments.collect(), ..Transcript::default() };
    let mut without_words = with_words.clone();
    without_words.segments.iter_mut().for_each(|segment| segment.words.clear());
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() > 20);
    for case in cases {
        let (format, options) = (case[0].as_str().unwrap(), &case[1]);
        let number = |name: &str| options[name].as_u64().map(|n| usize::try_from(n).unwrap());
        let options = SubtitleOptions {
            max_line_width: number("max_line_width"),
            max_line_count: number("max_line_count"),
            max_words_per_line: number("max_words_per_line"),
            highlight_words: options["highlight_words"].as_bool().unwrap_or(false),
        };
        let transcript = if format.ends_with("without words") { &without_words } else { &with_words };
        let got = match &format[..3] {
            "srt" => transcript.to_srt(&options),
            "vtt" => transcript.to_vtt(&options),
            "tsv" => transcript.to_tsv(),
            _ => transcript.to_txt(),
        };
        assert_eq!(got, case[2].as_str().unwrap(), "{format} {options:?}");
    }
}

#[allow(clippy::cast_precision_loss, reason = "a few words")]
fn words(texts: &[&str]) -> Transcript {
    let word = |(index, text): (usize, &&str)| {
        let start = index as f64;
        Word { word: (*text).to_owned(), start, end: start + 0.5, probability: 1.0 }
    };
    let words: Vec<Word> = texts.iter().enumerate().map(word).collect();
    let segment = Segment { end: texts.len() as f64, text: texts.concat(), words, ..Segment::default() };
    Transcript {
        text: texts.concat(),
        language: "en".into(),
        duration_s: 60.0,
        segments: vec![segment],
        ..Transcript::default()
    }
}

#[test]
fn what_would_break_a_cue_is_made_safe() {
    let options = SubtitleOptions { highlight_words: true, ..SubtitleOptions::default() };
    let transcript = words(&[" a\n\nb", " --", ">", " <i>&amp;"]);
    for subtitles in [transcript.to_srt(&options), transcript.to_vtt(&options)] {
        let cues: Vec<&str> = subtitles.trim_end().split("\n\n").filter(|cue| cue.contains(" --> ")).collect();
        assert_eq!(cues.len(), 4 + 3, "{subtitles}");
        for cue in cues {
            let text = cue.split_once(" --> ").unwrap().1.split_once('\n').unwrap().1;
            assert!(!text.contains("-->") && !text.contains('\n'), "{cue:?}");
        }
    }
    let vtt = transcript.to_vtt(&SubtitleOptions::default());
    assert!(vtt.contains("a  b -> &lt;i>&amp;amp;"), "{vtt}");
    let mut plain = transcript;
    plain.segments[0].words.clear();
    plain.segments[0].text = " a\r\nb\tc --> <d>".into();
    assert!(plain.to_srt(&SubtitleOptions::default()).ends_with("\na b\tc -> <d>\n\n"));
    assert!(plain.to_vtt(&SubtitleOptions::default()).ends_with("\na b\tc -> &lt;d>\n\n"));
    assert!(plain.to_tsv().ends_with("\ta b c --> <d>\n"));
    assert_eq!(plain.to_txt(), "a b\tc --> <d>\n");
}

#[test]
fn a_vowel_sign_stays_with_its_letter_at_the_end_of_a_line() {
    let options = SubtitleOptions { max_line_width: Some(2), ..SubtitleOptions::default() };
    // Thai: the second and fourth are signs on the letters before them.
    let srt = words(&["ส", "\u{e27}", "\u{e31}", "ส"]).to_srt(&options);
    assert!(srt.contains("ส\u{e27}\u{e31}\nส\n"), "{srt}");
}

#[test]
fn times_go_past_100_hours_and_never_below_0() {
    let long = transcript(&[(-0.5, 359_999.999_6, " a")]);
    assert!(long.to_srt(&SubtitleOptions::default()).contains("00:00:00,000 --> 100:00:00,000"));
    assert!(long.to_vtt(&SubtitleOptions::default()).contains("00:00.000 --> 100:00:00.000"));
    assert!(long.to_tsv().contains("\n0\t360000000\ta\n"));
}

#[test]
fn words_travel_and_openais_names_are_read() {
    let transcript = words(&[" a", " b"]);
    let json = transcript.to_json().unwrap();
    assert!(json.contains(r#""words":[{"word":" a","start":0.0,"end":0.5,"probability":1.0}"#));
    assert_eq!(Transcript::from_json(&json).unwrap(), transcript);
    let verbose = transcript.to_verbose_json().unwrap();
    assert!(verbose.contains(r#""duration":60.0"#) && !verbose.contains("duration_s"));
    assert_eq!(Transcript::from_json(&verbose).unwrap(), transcript);
    assert!(!super::Transcript::default().to_json().unwrap().contains("words"));
}

#[test]
fn impossible_words_are_refused() {
    let good = words(&[" a", " b"]);
    good.check().unwrap();
    let refuse = |change: &dyn Fn(&mut Word)| {
        let mut bad = good.clone();
        change(&mut bad.segments[0].words[1]);
        assert!(bad.check().is_err(), "{bad:?}");
    };
    refuse(&|word| word.start = f64::NAN);
    refuse(&|word| word.start = -0.1);
    refuse(&|word| word.end = 0.5);
    refuse(&|word| word.end = 1e6);
    refuse(&|word| word.probability = 1.1);
    refuse(&|word| word.word = "a".repeat(MAX_TEXT_BYTES + 1));
    let mut bad = good;
    bad.segments[0].words = vec![Word::default(); MAX_SEGMENT_TOKENS + 1];
    assert!(bad.check().is_err());
}
