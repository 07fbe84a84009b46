//! How much of a Matroska or `WebM` file's last audio block is padding.
//!
//! symphonia 0.6 reads the element and does not give it on. Layout: RFC 8794 (EBML) and RFC 9559 (Matroska), elements
//! `Segment`, `Cluster`, `BlockGroup`, `Block`, `DiscardPadding`.

use std::io::{Read, Result, Seek, SeekFrom};

const EBML: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1f43_b675;
const SIMPLE_BLOCK: u32 = 0xa3;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;
const DISCARD_PADDING: u32 = 0x75a2;

/// Elements looked at in one file: those of ten hours, and of a cluster. A crafted file has more.
const MAX_ELEMENTS: usize = 1 << 16;
/// The last clusters, in one of which the last block of every track is.
const N_LAST: usize = 2;

/// Padding at the end of a track.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Padding {
    /// The track's number.
    pub(super) track: u64,
    pub(super) ns: u64,
}

/// The padding of every track that has some; none for anything but a whole Matroska file.
///
/// # Errors
///
/// Only errors of the reader itself: a damaged file has no padding.
pub(super) fn read(reader: &mut (impl Read + Seek), n_bytes: u64) -> Result<Vec<Padding>> {
    let mut scan = Scan { reader, n_left: MAX_ELEMENTS, paddings: Vec::new() };
    let is_whole = scan.file(n_bytes)?;
    Ok(scan.paddings.into_iter().filter(|padding| is_whole && padding.ns > 0).collect())
}

/// Whether it is a Matroska file that ends before it says. symphonia 0.6 would refuse it, and hears what arrives.
///
/// # Errors
///
/// As [`read`].
pub(super) fn is_cut_off(reader: &mut (impl Read + Seek), n_bytes: u64) -> Result<bool> {
    let mut scan = Scan { reader, n_left: MAX_ELEMENTS, paddings: Vec::new() };
    let Some(header) = scan.element(0, n_bytes)?.filter(|header| header.id == EBML) else { return Ok(false) };
    let segment = scan.element(header.end, u64::MAX)?.filter(|segment| segment.id == SEGMENT);
    Ok(segment.is_some_and(|segment| segment.end != u64::MAX && segment.end > n_bytes))
}

struct Element {
    id: u32,
    body: u64,
    end: u64,
}

struct Scan<'r, R> {
    reader: &'r mut R,
    n_left: usize,
    paddings: Vec<Padding>,
}

impl<R: Read + Seek> Scan<'_, R> {
    /// Whether the file could be followed to its end.
    fn file(&mut self, n_bytes: u64) -> Result<bool> {
        let Some(header) = self.element(0, n_bytes)?.filter(|header| header.id == EBML) else { return Ok(false) };
        let Some(segment) = self.element(header.end, n_bytes)?.filter(|segment| segment.id == SEGMENT) else {
            return Ok(false);
        };
        let (mut clusters, mut position) = (Vec::new(), segment.body);
        while position < segment.end {
            let Some(element) = self.element(position, segment.end)? else { return Ok(false) };
            position = element.end;
            if element.id == CLUSTER {
                clusters.push(element);
                clusters.drain(..clusters.len().saturating_sub(N_LAST));
            }
        }
        for cluster in clusters {
            if !self.blocks(&cluster, false)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Notes the padding of every track's last block in a cluster, or in a group of one block.
    fn blocks(&mut self, parent: &Element, is_group: bool) -> Result<bool> {
        let (mut position, mut track, mut ns) = (parent.body, None, 0);
        while position < parent.end {
            let Some(element) = self.element(position, parent.end)? else { return Ok(false) };
            position = element.end;
            match element.id {
                SIMPLE_BLOCK => {
                    let track = self.track(&element)?;
                    self.note(track, 0);
                }
                // Groups do not hold groups, but crafted ones might.
                BLOCK_GROUP if is_group || !self.blocks(&element, true)? => return Ok(false),
                BLOCK => track = Some(self.track(&element)?),
                DISCARD_PADDING => ns = self.signed(&element)?,
                _ => {}
            }
        }
        if let Some(track) = track {
            // A negative padding is of the start, of which there is the codec's delay.
            self.note(track, u64::try_from(ns).unwrap_or(0));
        }
        Ok(true)
    }

    fn note(&mut self, track: u64, ns: u64) {
        self.paddings.retain(|padding| padding.track != track);
        self.paddings.push(Padding { track, ns });
    }

    /// The element at a place; `None` where there is none within its parent, or its end is not known.
    fn element(&mut self, position: u64, end: u64) -> Result<Option<Element>> {
        let Some(n_left) = self.n_left.checked_sub(1) else { return Ok(None) };
        self.n_left = n_left;
        let head = self.bytes(position)?;
        let (id, n_id) = variable(&head, true);
        let (size, n_size) = variable(&head[n_id..], false);
        if n_id == 0 || n_size == 0 {
            return Ok(None);
        }
        let is_unknown = size == (1 << (7 * n_size)) - 1;
        let body = position + (n_id + n_size) as u64;
        let element_end = body.saturating_add(size);
        Ok(match u32::try_from(id) {
            Ok(SEGMENT) if is_unknown => Some(Element { id: SEGMENT, body, end }),
            Ok(id) if !is_unknown && element_end <= end => Some(Element { id, body, end: element_end }),
            _ => None,
        })
    }

    /// The track's number at the start of a block.
    fn track(&mut self, block: &Element) -> Result<u64> {
        Ok(variable(&self.bytes(block.body)?, false).0)
    }

    /// The longest head of an element from a place on, or what there is of it.
    fn bytes(&mut self, position: u64) -> Result<Vec<u8>> {
        self.reader.seek(SeekFrom::Start(position))?;
        let mut bytes = Vec::with_capacity(16);
        self.reader.by_ref().take(16).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn signed(&mut self, element: &Element) -> Result<i64> {
        let n_bytes = usize::try_from(element.end - element.body).unwrap_or(usize::MAX).min(8);
        let bytes = self.bytes(element.body)?;
        let is_negative = bytes.first().is_some_and(|&first| first >= 0x80);
        Ok(bytes.iter().take(n_bytes).fold(-i64::from(is_negative), |value, &byte| value << 8 | i64::from(byte)))
    }
}

/// A number of variable length, with the mark of its length or without, and the length, bytes; 0: there is none.
fn variable(bytes: &[u8], keeps_mark: bool) -> (u64, usize) {
    let Some(&first) = bytes.first() else { return (0, 0) };
    let n_bytes = first.leading_zeros() as usize + 1;
    let Some(rest) = bytes.get(1..n_bytes).filter(|_| n_bytes <= 8) else { return (0, 0) };
    let mask = if keeps_mark { 0xff } else { 0x7f_u8 >> (n_bytes - 1) };
    (rest.iter().fold(u64::from(first & mask), |value, &byte| value << 8 | u64::from(byte)), n_bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// An element with a size of eight bytes.
    fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
        [id, &[1], &(body.len() as u64).to_be_bytes()[1..], body].concat()
    }

    fn padded(ns: &[u8]) -> Vec<u8> {
        let block = element(&[0xa1], &[0x81, 0, 0, 0, 7]);
        element(&[0xa0], &[block, element(&[0x75, 0xa2], ns)].concat())
    }

    fn file(clusters: &[Vec<u8>]) -> Vec<u8> {
        let clusters: Vec<u8> = clusters.iter().flat_map(|body| element(&[0x1f, 0x43, 0xb6, 0x75], body)).collect();
        [element(&[0x1a, 0x45, 0xdf, 0xa3], b""), element(&[0x18, 0x53, 0x80, 0x67], &clusters)].concat()
    }

    fn found(bytes: &[u8]) -> Vec<Padding> {
        read(&mut Cursor::new(bytes), bytes.len() as u64).unwrap()
    }

    #[test]
    fn the_last_block_of_each_track_has_the_padding() {
        let simple = element(&[0xa3], &[0x82, 0, 0, 0, 7]);
        let first = Padding { track: 1, ns: 13_500_000 };
        let ns = 13_500_000_u32.to_be_bytes();
        assert_eq!(found(&file(&[padded(&ns)])), [first]);
        assert_eq!(found(&file(&[padded(&ns), simple.clone()])), [first]);
        // Another block of the track follows; a padding before the start; nothing.
        let other = element(&[0xa3], &[0x81, 0, 0, 0, 7]);
        assert!(found(&file(&[padded(&ns), other])).is_empty());
        assert!(found(&file(&[padded(&[0xff, 0])])).is_empty() && found(&file(&[padded(&[])])).is_empty());
        assert!(found(&file(&[simple])).is_empty() && found(b"RIFF").is_empty() && found(b"").is_empty());
    }

    #[test]
    fn a_file_that_ends_before_it_says_is_cut_off() {
        let whole = file(&[padded(&[1, 0, 0])]);
        let is_cut_off = |bytes: &[u8]| super::is_cut_off(&mut Cursor::new(bytes), bytes.len() as u64).unwrap();
        assert!(!is_cut_off(&whole) && is_cut_off(&whole[..whole.len() - 1]) && is_cut_off(&whole[..40]));
        // Live recordings do not say how long they are.
        let live = [&whole[..16], &[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], &whole[24..40]].concat();
        assert!(!is_cut_off(&live) && !is_cut_off(b"RIFF") && !is_cut_off(b""));
    }

    #[test]
    fn damaged_and_crafted_files_have_none() {
        let whole = file(&[padded(&[1, 0, 0])]);
        assert_eq!(found(&whole).len(), 1);
        for end in 0..whole.len() {
            assert!(found(&whole[..end]).is_empty());
        }
        let many = [0xa0, 0x80].repeat(100_000);
        assert!(found(&file(&[many])).is_empty());
        // Groups within groups, each as long as what follows.
        let n = 20_000_u32;
        let nested = |left: u32| [&[0xa0, 0x10][..], &(5 * left).to_be_bytes()[1..]].concat();
        let nested: Vec<u8> = (0..n).rev().flat_map(nested).collect();
        assert!(found(&file(&[nested])).is_empty());
    }
}
