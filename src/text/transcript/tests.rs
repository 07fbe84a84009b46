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
