//! Names of what is not read here, by its first bytes: an error that says what was found is one that can be mended.

/// First bytes (from an offset), the name, and whether ffmpeg hears something in it.
const KNOWN: [(usize, &[u8], &str, bool); 35] = [
    (0, b"#!AMR-WB\n", "AMR-WB speech", true),
    (0, b"#!AMR\n", "AMR speech", true),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA/WMV (ASF)", true),
    (8, b"AVI ", "an AVI video", true),
    (0, b"FLV\x01", "a Flash video", true),
    (0, b"\x0b\x77", "AC-3 audio", true),
    (0, b"\x7f\xfe\x80\x01", "DTS audio", true),
    (0, b"wvpk", "WavPack audio", true),
    (0, b"MAC ", "Monkey's Audio", true),
    (0, b"TTA1", "True Audio", true),
    (0, b"MPCK", "Musepack audio", true),
    (0, b"MP+", "Musepack audio", true),
    (0, b".snd", "Sun/NeXT audio (au)", true),
    (0, b".RMF", "RealMedia", true),
    (0, b"riff\x2e\x91\xcf\x11", "Wave64 audio", true),
    (0, b"RF64", "RF64 audio", true),
    (0, b"Creative Voice File", "Creative Voice audio", true),
    (0, b"\0\0\x01\xba", "an MPEG program stream", true),
    (0, b"\0\0\x01\xb3", "an MPEG video", false),
    (0, b"MThd", "a MIDI file, which holds notes and no sound", false),
    (0, b"\x89PNG", "a PNG picture", false),
    (0, b"\xff\xd8\xff", "a JPEG picture", false),
    (0, b"GIF8", "a GIF picture", false),
    (8, b"WEBP", "a WebP picture", false),
    (0, b"%PDF", "a PDF document", false),
    (0, b"PK\x03\x04", "a ZIP archive; unpack it", false),
    (0, b"\x1f\x8b", "gzip data; unpack it", false),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it", false),
    (0, b"Rar!", "a RAR archive; unpack it", false),
    (0, b"\x7fELF", "a program", false),
    (0, b"#EXTM3U", "a playlist, which holds addresses and no sound", false),
    (0, b"<!DOCTYPE", "an HTML page", false),
    (0, b"<html", "an HTML page", false),
    (0, b"<?xml", "an XML document", false),
    (0, b"{", "JSON or other text", false),
];

/// What data that begins so is, where it is known.
pub(super) fn name(head: &[u8]) -> Option<&'static str> {
    let known =
        KNOWN.iter().find(|(offset, magic, ..)| head.get(*offset..).is_some_and(|head| head.starts_with(magic)));
    let is_transport = head.first() == Some(&0x47) && head.get(188) == Some(&0x47) && head.get(376) == Some(&0x47);
    known.map(|(_, _, name, _)| *name).or(is_transport.then_some("an MPEG transport stream"))
}

/// Whether data that begins so is certainly no sound.
pub(super) fn is_silent(head: &[u8]) -> bool {
    KNOWN.iter().any(|(offset, magic, _, is_heard)| {
        !is_heard && head.get(*offset..).is_some_and(|head| head.starts_with(magic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_so_has_a_name() {
        assert_eq!(name(b"#!AMR\n<\x48"), Some("AMR speech"));
        assert_eq!(name(b"RIFF\x10\0\0\0AVI LIST"), Some("an AVI video"));
        assert_eq!(name(b"RIFF\x10\0\0\0WAVEfmt "), None);
        assert_eq!(name(b""), None);
        let mut transport = vec![0; 400];
        (transport[0], transport[188], transport[376]) = (0x47, 0x47, 0x47);
        assert_eq!(name(&transport), Some("an MPEG transport stream"));
        assert!(is_silent(b"%PDF-1.7") && !is_silent(b"#!AMR\n"));
    }
}
