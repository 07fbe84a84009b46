//! Times as Google writes them.

/// A time as year, month, day, hour, minute, second and millisecond, UTC.
fn civil(ms: i64) -> (i64, i64, i64, i64, i64, i64, i64) {
    let (days, in_day_ms) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Days since 0000-03-01 in cycles of 400 years: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    let days = days + 719_468;
    let (era, in_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let in_cycle = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * in_cycle + in_cycle / 4 - in_cycle / 100);
    let march_month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = in_cycle + era * 400 + i64::from(month <= 2);
    let s = in_day_ms / 1_000;
    (year, month, day, s / 3_600, s / 60 % 60, s % 60, in_day_ms % 1_000)
}

/// `2026-11-29T22:16:14.035Z`.
pub(in crate::proxy) fn rfc3339(ms: i64) -> String {
    // The last year that has four digits; a time that is never reached must not be one that nobody can read.
    let (year, month, day, h, m, s, ms) = civil(ms.clamp(0, 253_402_300_799_999));
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z")
}

/// `20261129T221614Z`.
pub(super) fn basic(ms: i64) -> String {
    let (year, month, day, h, m, s, _) = civil(ms);
    format!("{year:04}{month:02}{day:02}T{h:02}{m:02}{s:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_around_leap_days_and_centuries() {
        // Values of `date -u -d @S`.
        for (s, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000Z"),
            (1_795_990_574, "2026-11-29T22:16:14.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(s * 1_000), text);
        }
        assert_eq!(rfc3339(1_795_990_574_035), "2026-11-29T22:16:14.035Z");
        assert_eq!(basic(1_795_990_574_035), "20261129T221614Z");
        assert_eq!(rfc3339(i64::MAX), "9999-12-31T23:59:59.999Z");
    }
}
