//! Pages of an ogg file. Source: RFC 3533, section 6.

/// Most segments of a page.
const MAX_SEGMENTS: usize = 255;

/// Packs the packets of one logical stream into pages.
pub(super) struct Pages {
    serial: u32,
    number: u32,
    segments: Vec<u8>,
    body: Vec<u8>,
    /// Position after the last packet that ends in the page.
    position: u64,
}

impl Pages {
    pub(super) fn new(serial: u32) -> Self {
        Self { serial, number: 0, segments: Vec::new(), body: Vec::new(), position: 0 }
    }

    /// Whether a packet of `n_bytes` needs the page to be ended before it.
    pub(super) fn is_full_for(&self, n_bytes: usize) -> bool {
        !self.segments.is_empty() && self.segments.len() + n_bytes / 255 + 1 > MAX_SEGMENTS
    }

    /// Adds a packet of at most 64,770 bytes that ends at `position`.
    pub(super) fn add(&mut self, packet: &[u8], position: u64) {
        self.segments.extend(std::iter::repeat_n(255, packet.len() / 255));
        self.segments.push((packet.len() % 255) as u8);
        self.body.extend(packet);
        self.position = position;
    }

    /// The page's bytes; the next begins.
    pub(super) fn end(&mut self, is_last: bool) -> Vec<u8> {
        let flags = u8::from(self.number == 0) << 1 | u8::from(is_last) << 2;
        let mut page = Vec::from(*b"OggS\0");
        page.push(flags);
        page.extend(self.position.to_le_bytes());
        page.extend(self.serial.to_le_bytes());
        page.extend(self.number.to_le_bytes());
        page.extend([0; 4]);
        page.push(self.segments.len() as u8);
        page.append(&mut self.segments);
        page.append(&mut self.body);
        let sum = checksum(&page);
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        self.number += 1;
        page
    }
}

/// The cyclic redundancy check of a page: polynomial 0x04c11db7, not reflected, from 0.
fn checksum(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let (mut sum, mut bit) = ((byte as u32) << 24, 0);
            while bit < 8 {
                sum = if sum >> 31 == 1 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 };
                bit += 1;
            }
            table[byte] = sum;
            byte += 1;
        }
        table
    };
    bytes.iter().fold(0, |sum, &byte| sum << 8 ^ TABLE[((sum >> 24) as u8 ^ byte) as usize])
}

#[cfg(test)]
mod tests {
    #[test]
    fn checksum_has_its_published_value() {
        // The check value of CRC-32/MPEG-2 without its start of ones; bit by bit.
        let slow = b"123456789".iter().fold(0_u32, |mut sum, &byte| {
            sum ^= u32::from(byte) << 24;
            for _ in 0..8 {
                sum = if sum >> 31 == 1 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 };
            }
            sum
        });
        assert_eq!(super::checksum(b"123456789"), slow);
        assert_eq!(slow, 0x89a1_897f);
    }
}
