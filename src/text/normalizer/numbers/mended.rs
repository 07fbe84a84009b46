//! The rules of `violet-en` where the original's are mistakes.

use super::{
    Numeral::{
        self, And, Currency, Multiplier, Ones, OnesSuffixed, Per, Percent, Point, Repeat, Sign, Tens, TensSuffixed,
        Zero,
    },
    reader::{Reader, Value, Word},
};

impl Reader {
    /// As [`Self::read_numeral`], without the original's mistakes: signs, currencies and per cents stay words, a number
    /// in digits is not continued by one in words, and "oh" is a digit only between digits.
    pub(super) fn read_mended(
        &mut self,
        word: &str,
        numeral: Numeral,
        previous: Option<Numeral>,
        next: Option<Word<'_>>,
    ) -> bool {
        let next_numeral = next.and_then(|next| next.numeral);
        let is_empty = matches!(self.value, Value::None);
        let is_after_point = matches!(&self.value, Value::Spelled(digits) if digits.ends_with('.'));
        match numeral {
            Zero if word != "zero" => {
                let is_digit = !is_empty && !self.is_in_digits && matches!(next_numeral, Some(Ones(1..=9) | Zero));
                if !is_digit && !is_after_point {
                    self.flush();
                    self.write(&[word]);
                    return false;
                }
            }
            Sign(_) | Currency(_) | Percent => {
                self.flush();
                self.write(&[word]);
                return false;
            }
            Per => {
                self.flush();
                let is_per_cent = next.is_some_and(|next| next.text == "cent");
                self.write(&[if is_per_cent { "percent" } else { word }]);
                return is_per_cent;
            }
            Point => {
                let is_decimal = next.is_some_and(|next| {
                    next.is_numeric && !next.text.contains('.') || next.numeral.is_some_and(Numeral::is_decimal)
                });
                if is_empty || !is_decimal || matches!(&self.value, Value::Spelled(digits) if digits.contains('.')) {
                    self.flush();
                    self.write(&[word]);
                } else if let Value::Whole(digits) | Value::Spelled(digits) = std::mem::take(&mut self.value) {
                    self.value = Value::Spelled(digits + ".");
                    self.is_in_digits = false;
                }
                return false;
            }
            And if self.is_in_digits => {
                self.flush();
                self.write(&[word]);
                return false;
            }
            Repeat(_) | Zero | Ones(_) | OnesSuffixed(..) | Tens(_) | TensSuffixed(..)
                if self.is_in_digits && !is_after_point =>
            {
                self.flush();
            }
            _ => {}
        }
        let is_in_digits = self.is_in_digits;
        let is_skipping = self.read_numeral(word, numeral, previous, next);
        // A power of ten makes words of digits: "5 hundred and 6".
        self.is_in_digits = is_in_digits && !matches!(numeral, Multiplier(_));
        is_skipping
    }
}
