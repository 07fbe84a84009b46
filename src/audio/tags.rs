//! What a file says of itself: title, artist and the like, under the same names whichever format it comes from.
//!
//! symphonia 0.6 reads the `INFO` list of WAVE files and does not give it on. Layout: IBM and Microsoft, "Multimedia
//! Programming Interface and Data Specifications 1.0", 1991, "LIST Chunk".

use std::collections::BTreeMap;
use std::io::{Read, Result, Seek, SeekFrom};

use symphonia::core::formats::FormatReader;
use symphonia::core::meta::{RawTag, RawValue};

/// Most tags that are kept.
pub const MAX_TAGS: usize = 256;
/// Most characters of a tag's name, and of its value, that are kept.
pub const MAX_TAG_CHARS: usize = 4_096;

/// Chunks of a WAVE file that are looked at; a crafted file has more.
const MAX_CHUNKS: usize = 64;
/// Bytes of a list that are read.
const MAX_LIST_BYTES: u64 = 1 << 16;

/// Tags by their names.
pub(super) type Tags = BTreeMap<String, String>;

/// The tags of the file and of this track.
pub(super) fn read(format: &mut dyn FormatReader, track_id: u32) -> Tags {
    let mut kept = Tags::new();
    let mut metadata = format.metadata();
    loop {
        if let Some(revision) = metadata.current() {
            let of_track = revision.per_track.iter().filter(|track| track.track_id == u64::from(track_id));
            let tags = revision.media.tags.iter().chain(of_track.flat_map(|track| &track.metadata.tags));
            for tag in tags.take(MAX_TAGS) {
                match &tag.raw.value {
                    RawValue::Binary(_) | RawValue::Flag => {}
                    value => keep(&mut kept, key(&tag.raw), &value.to_string()),
                }
            }
        }
        if metadata.is_latest() {
            return kept;
        }
        metadata.pop();
    }
}

/// Adds the tags of a WAVE file's `INFO` list; none are added for anything else.
///
/// # Errors
///
/// Only errors of the reader itself: a damaged list has no tags.
pub(super) fn read_info_list(reader: &mut (impl Read + Seek), n_bytes: u64, kept: &mut Tags) -> Result<()> {
    let mut head = Vec::new();
    reader.rewind()?;
    reader.by_ref().take(12).read_to_end(&mut head)?;
    if !(head.starts_with(b"RIFF") && head.ends_with(b"WAVE")) {
        return Ok(());
    }
    let mut position = 12;
    for _ in 0..MAX_CHUNKS {
        let mut chunk = Vec::new();
        reader.seek(SeekFrom::Start(position))?;
        reader.by_ref().take(12).read_to_end(&mut chunk)?;
        let Some(&[_, _, _, _, l0, l1, l2, l3, ..]) = chunk.first_chunk::<12>() else { return Ok(()) };
        let length = u64::from(u32::from_le_bytes([l0, l1, l2, l3]));
        if chunk.starts_with(b"LIST") && chunk.ends_with(b"INFO") {
            let mut list = Vec::new();
            reader.by_ref().take(length.saturating_sub(4).min(MAX_LIST_BYTES)).read_to_end(&mut list)?;
            keep_info(&list, kept);
        }
        position += 8 + length + length % 2;
        if position >= n_bytes {
            return Ok(());
        }
    }
    Ok(())
}

/// The tags of the body of an `INFO` list.
fn keep_info(mut list: &[u8], kept: &mut Tags) {
    while let Some((head, rest)) = list.split_first_chunk::<8>() {
        let [key @ .., l0, l1, l2, l3] = *head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let Some(value) = rest.get(..length) else { return };
        keep(kept, &String::from_utf8_lossy(&key), String::from_utf8_lossy(value).trim_end_matches('\0'));
        list = rest.get(length + length % 2..).unwrap_or_default();
    }
}

fn keep(kept: &mut Tags, key: &str, value: &str) {
    let value: String = value.trim().chars().take(MAX_TAG_CHARS).collect();
    let name = name(key);
    if !value.is_empty() && !name.is_empty() && kept.len() < MAX_TAGS {
        kept.entry(name).or_insert(value);
    }
}

/// A tag's own key: that of ID3's free tags is their description.
fn key(tag: &RawTag) -> &str {
    let mut fields = tag.sub_fields.iter().flatten();
    match fields.find(|field| tag.key == "TXXX" && field.field == "DESCRIPTION").map(|field| &field.value) {
        Some(RawValue::String(description)) if !description.trim().is_empty() => description.trim(),
        _ => &tag.key,
    }
}

/// The field's name of a tag, whichever format it comes from.
fn name(key: &str) -> String {
    let short = match key {
        "TIT2" | "TT2" | "\u{a9}nam" | "INAM" => "title",
        "TPE1" | "TP1" | "\u{a9}ART" | "IART" => "artist",
        "TPE2" | "TP2" | "aART" | "ALBUMARTIST" => "album_artist",
        "TALB" | "TAL" | "\u{a9}alb" | "IPRD" | "ALBUM@TITLE" => "album",
        "TRCK" | "TRK" | "trkn" | "ITRK" | "IPRT" | "TRACKNUMBER" => "track",
        "TDRC" | "TYER" | "TYE" | "\u{a9}day" | "ICRD" => "date",
        "TCON" | "TCO" | "\u{a9}gen" | "IGNR" => "genre",
        "TCOM" | "TCM" | "\u{a9}wrt" | "IMUS" => "composer",
        "TCOP" | "TCR" | "cprt" | "ICOP" => "copyright",
        "COMM" | "COM" | "\u{a9}cmt" | "ICMT" => "comment",
        "TSSE" | "TENC" | "\u{a9}too" | "ISFT" => "encoder",
        key => {
            // Matroska's say what they belong to: ALBUM@ARTIST, TRACK@TITLE.
            let own = key.split_once('@').map_or(key, |(_, own)| own);
            return own.chars().take(MAX_TAG_CHARS).collect::<String>().to_lowercase();
        }
    };
    short.to_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use symphonia::core::meta::RawTagSubField;

    use super::*;

    fn chunk(id: &[u8], body: &[u8]) -> Vec<u8> {
        let padding: &[u8] = if body.len() % 2 == 1 { &[0] } else { &[] };
        [id, &(body.len() as u32).to_le_bytes(), body, padding].concat()
    }

    fn info_list(bytes: &[u8]) -> Vec<(String, String)> {
        let mut kept = Tags::new();
        read_info_list(&mut Cursor::new(bytes), bytes.len() as u64, &mut kept).unwrap();
        kept.into_iter().collect()
    }

    #[test]
    fn a_wave_file_says_its_title_before_or_behind_its_samples() {
        let list =
            [b"INFO".to_vec(), chunk(b"INAM", b"A day\0"), chunk(b"IART", b"Ann\0"), chunk(b"ICMT", b"\0")].concat();
        let (list, samples) = (chunk(b"LIST", &list), chunk(b"data", &[7; 9]));
        let want = [("artist".to_owned(), "Ann".to_owned()), ("title".to_owned(), "A day".to_owned())];
        for body in [[list.clone(), samples.clone()].concat(), [samples, list].concat()] {
            let file = chunk(b"RIFF", &[&b"WAVE"[..], &body].concat());
            assert_eq!(info_list(&file), want);
            for end in 0..file.len() {
                assert!(info_list(&file[..end]).len() <= 2);
            }
        }
        let endless = [&b"RIFF\xff\xff\xff\xffWAVEdata\xff\xff\xff\xff"[..], &[0; 40]].concat();
        assert!(info_list(&endless).is_empty() && info_list(b"OggS").is_empty() && info_list(b"").is_empty());
    }

    #[test]
    fn tags_have_one_name_in_all_formats() {
        for key in ["TIT2", "\u{a9}nam", "INAM", "TITLE", "title", "TRACK@TITLE"] {
            assert_eq!(name(key), "title");
        }
        assert_eq!(
            (name("ALBUM@TITLE"), name("ALBUM@ENCODER"), name("MOOD")),
            ("album".into(), "encoder".into(), "mood".into())
        );
        let mut free = RawTag::new("TXXX", "fine");
        assert_eq!(key(&free), "TXXX");
        free.sub_fields = Some(Box::new([RawTagSubField::new("DESCRIPTION", "Mood")]));
        assert_eq!(key(&free), "Mood");
    }
}
