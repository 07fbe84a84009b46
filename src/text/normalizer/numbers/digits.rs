//! Whole numbers of any length, as their decimal digits.

use crate::text::normalizer::unicode::{ascii_digit, is_digit};

/// The whole number of these digits, if it is one: `007` is 7, `2.50` none, `2.0` 2.
pub(super) fn whole(number: &str) -> Option<String> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let is_whole = decimals.chars().all(|digit| ascii_digit(digit) == '0');
    is_whole.then(|| without_leading_zeros(&whole.chars().map(ascii_digit).collect::<String>()))
}

fn without_leading_zeros(digits: &str) -> String {
    let trimmed = digits.trim_start_matches('0');
    if trimmed.is_empty() { "0".to_owned() } else { trimmed.to_owned() }
}

/// Digits times a power of ten.
pub(super) fn shifted(digits: &str, power: u8) -> String {
    without_leading_zeros(&format!("{digits}{}", "0".repeat(usize::from(power))))
}

/// The sum of two whole numbers.
pub(super) fn sum(left: &str, right: &str) -> String {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let digit = |digits: &[u8], n: usize| digits.iter().rev().nth(n).map_or(0, |digit| digit - b'0');
    let mut digits = Vec::with_capacity(left.len().max(right.len()) + 1);
    let mut carry = 0;
    for n in 0..left.len().max(right.len()) {
        let total = digit(left, n) + digit(right, n) + carry;
        digits.push(char::from(b'0' + total % 10));
        carry = total / 10;
    }
    digits.extend((carry > 0).then_some('1'));
    without_leading_zeros(&digits.iter().rev().collect::<String>())
}

/// A decimal number times a power of ten, if both it is a number and the product a whole one.
pub(super) fn product(number: &str, power: u8) -> Option<String> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let is_number = !(whole.is_empty() && decimals.is_empty()) && whole.chars().chain(decimals.chars()).all(is_digit);
    if !is_number {
        return None;
    }
    let mut digits: String = whole.chars().chain(decimals.chars()).map(ascii_digit).collect();
    let point = whole.chars().count() + usize::from(power);
    while digits.len() > point {
        if digits.pop() != Some('0') {
            return None;
        }
    }
    digits.extend(std::iter::repeat_n('0', point - digits.len()));
    Some(without_leading_zeros(&digits))
}
