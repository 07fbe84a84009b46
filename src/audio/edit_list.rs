//! The edit list of MP4 files, which says how much encoder delay and padding to trim.
//!
//! symphonia 0.6 reads the list but does not apply it. Layout: ISO/IEC 14496-12, boxes `mvhd`, `tkhd`, `mdhd`, `elst`.

use std::io::{Read, Result, Seek, SeekFrom};

use super::edit::{Edit, rescale};

/// Boxes looked at in one file; a crafted file has more.
const MAX_BOXES: usize = 4_096;
/// Deepest nesting: `moov`, `trak`, `edts`, `elst`.
const MAX_DEPTH: usize = 4;

/// The edits of all tracks that have exactly one; empty for anything but an MP4 file.
///
/// # Errors
///
/// Only errors of the reader itself: a damaged list counts as none.
pub(super) fn read(reader: &mut (impl Read + Seek), n_bytes: u64) -> Result<Vec<Edit>> {
    let mut scan = Scan { reader, n_left: MAX_BOXES, movie_timescale: 0, track: None, edits: Vec::new() };
    match scan.boxes(0, n_bytes, 0) {
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error),
        _ => {
            scan.close_track();
            Ok(scan.edits)
        }
    }
}

#[derive(Default)]
struct TrackBoxes {
    id: u32,
    timescale: u32,
    /// Media time, and duration on the movie's clock (0 for "to the end").
    edit: Option<(u64, u64)>,
}

struct Scan<'r, R> {
    reader: &'r mut R,
    n_left: usize,
    movie_timescale: u32,
    track: Option<TrackBoxes>,
    edits: Vec<Edit>,
}

impl<R: Read + Seek> Scan<'_, R> {
    fn boxes(&mut self, mut position: u64, end: u64, depth: usize) -> Result<()> {
        while position + 8 <= end && self.n_left > 0 && depth <= MAX_DEPTH {
            self.n_left -= 1;
            self.reader.seek(SeekFrom::Start(position))?;
            let mut n_bytes = u64::from(self.u32()?);
            let kind = self.u32()?.to_be_bytes();
            if depth == 0 && position == 0 && &kind != b"ftyp" {
                return Ok(());
            }
            let mut header = 8;
            if n_bytes == 1 {
                n_bytes = self.u64()?;
                header = 16;
            } else if n_bytes == 0 {
                n_bytes = end - position;
            }
            if n_bytes < header || n_bytes > end - position {
                return Ok(());
            }
            let (body, next) = (position + header, position + n_bytes);
            match &kind {
                b"moov" | b"mdia" | b"edts" => self.boxes(body, next, depth + 1)?,
                b"trak" => {
                    self.close_track();
                    self.track = Some(TrackBoxes::default());
                    self.boxes(body, next, depth + 1)?;
                }
                b"mvhd" => self.movie_timescale = self.timescale()?,
                b"mdhd" => {
                    let timescale = self.timescale()?;
                    self.track.get_or_insert_default().timescale = timescale;
                }
                b"tkhd" => {
                    let times = if self.version()? == 1 { 16 } else { 8 };
                    self.reader.seek(SeekFrom::Current(times))?;
                    self.track.get_or_insert_default().id = self.u32()?;
                }
                b"elst" => self.edit_list()?,
                _ => {}
            }
            position = next;
        }
        Ok(())
    }

    fn edit_list(&mut self) -> Result<()> {
        let is_wide = self.version()? == 1;
        let mut edits = Vec::new();
        for _ in 0..self.u32()?.min(16) {
            let (duration, time) = if is_wide {
                (self.u64()?, self.u64()?.cast_signed())
            } else {
                (u64::from(self.u32()?), i64::from(self.u32()?.cast_signed()))
            };
            let rate = self.u32()?;
            // A negative time is an empty edit: silence before the track, which we do not insert.
            if let Ok(time) = u64::try_from(time) {
                edits.push((time, duration, rate));
            }
        }
        if let [(time, duration, 0x0001_0000)] = edits[..] {
            self.track.get_or_insert_default().edit = Some((time, duration));
        }
        Ok(())
    }

    fn close_track(&mut self) {
        let Some(TrackBoxes { id, timescale, edit: Some((start, duration)) }) = self.track.take() else { return };
        let is_bounded = duration > 0 && self.movie_timescale > 0;
        let end = is_bounded.then(|| start.saturating_add(rescale(duration, timescale, self.movie_timescale)));
        self.edits.push(Edit { track_id: id, start, end, timescale, ..Edit::default() });
    }

    fn timescale(&mut self) -> Result<u32> {
        let times = if self.version()? == 1 { 16 } else { 8 };
        self.reader.seek(SeekFrom::Current(times))?;
        self.u32()
    }

    fn version(&mut self) -> Result<u8> {
        Ok(self.u32()?.to_be_bytes()[0])
    }

    fn u32(&mut self) -> Result<u32> {
        let mut bytes = [0; 4];
        self.reader.read_exact(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from(self.u32()?) << 32 | u64::from(self.u32()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crafted_boxes_end_the_search() {
        let mut boxes = Vec::new();
        boxes.extend(16_u32.to_be_bytes());
        boxes.extend(b"ftypM4A \0\0\0\0");
        for _ in 0..10_000 {
            boxes.extend(8_u32.to_be_bytes());
            boxes.extend(b"free");
        }
        boxes.extend(u32::MAX.to_be_bytes());
        boxes.extend(b"moov");
        let n_bytes = boxes.len() as u64;
        assert_eq!(read(&mut std::io::Cursor::new(boxes), n_bytes).unwrap(), Vec::new());
        // Boxes within boxes, each claiming to hold all that follows.
        let mut nested = Vec::from(*b"\0\0\0\x08ftyp");
        for n_left in (0..50_000_u32).rev() {
            nested.extend((8 * (n_left + 1)).to_be_bytes());
            nested.extend(b"moov");
        }
        let n_bytes = nested.len() as u64;
        assert_eq!(read(&mut std::io::Cursor::new(nested), n_bytes).unwrap(), Vec::new());
    }
}
