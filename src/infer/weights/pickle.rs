//! Python's pickles as far as `PyTorch` writes them for weights: data is read, nothing is ever called or imported.
//!
//! A call in a pickle becomes a [`Value::Call`] that nobody makes. Values lie in one table and refer to each other by
//! their place in it, so that neither sharing nor a cycle costs memory: there are never more values than bytes.
//!
//! Source: `CPython`'s `Lib/pickle.py` (protocols 2 to 5) and `pickletools`.

use std::collections::HashMap;

/// Place of a value in the table.
pub(super) type Id = usize;

/// One value of a pickle.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// None, a float, or another value that no table of tensors needs.
    Other,
    Int(i64),
    Text(String),
    /// A name in a module, `module name`.
    Global(String),
    /// A tuple, a list or a set.
    Sequence(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// What a callable would return for its arguments (a tuple).
    Call(Id, Id),
    /// What the writer keeps outside of the pickle, by its own description.
    Persistent(Id),
}

/// A pickle, read.
#[derive(Debug)]
pub(super) struct Pickle {
    values: Vec<Value>,
    /// The value that it is of.
    pub(super) root: Id,
    /// Its length, bytes.
    pub(super) n_bytes: usize,
}

impl Pickle {
    /// Reads the pickle that `bytes` begin with; `None` when it is damaged or has instructions that weights do not need.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader =
            Reader { bytes, at: 0, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
        while reader.step()? {}
        let root = reader.stack.pop()?;
        Some(Self { values: reader.values, root, n_bytes: reader.at })
    }

    /// All values.
    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.values.iter()
    }

    /// The value at a place.
    pub(super) fn value(&self, id: Id) -> &Value {
        self.values.get(id).unwrap_or(&Value::Other)
    }

    /// The text at a place.
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.value(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number at a place, if it is 0 or more.
    pub(super) fn number(&self, id: Id) -> Option<usize> {
        match self.value(id) {
            Value::Int(number) => usize::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The items of the sequence at a place.
    pub(super) fn items(&self, id: Id) -> Option<&[Id]> {
        match self.value(id) {
            Value::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// The numbers of the sequence at a place.
    pub(super) fn numbers(&self, id: Id) -> Option<Vec<usize>> {
        self.items(id)?.iter().map(|&item| self.number(item)).collect()
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack where sequences begin.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

impl<'a> Reader<'a> {
    /// Follows one instruction; whether there are more.
    fn step(&mut self) -> Option<bool> {
        match self.take(1)?[0] {
            b'.' => return Some(false),
            0x80 => drop(self.take(1)?), // PROTO
            0x95 => drop(self.take(8)?), // FRAME
            b'(' => self.marks.push(self.stack.len()),
            // POP, and BUILD: attributes, which tensors do not have.
            b'0' | b'b' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => self.stack.push(*self.stack.last()?),
            b'N' => self.push(Value::Other),
            0x88 => self.push(Value::Int(1)),
            0x89 => self.push(Value::Int(0)),
            b'K' => self.push_int(1)?,
            b'M' => self.push_int(2)?,
            b'J' => self.push_int(4)?,
            0x8a => {
                let n_bytes = self.length(1)?;
                self.push_int(n_bytes)?;
            }
            b'G' => {
                self.take(8)?;
                self.push(Value::Other);
            }
            b'X' => self.push_text(4)?,
            0x8c => self.push_text(1)?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(format!("{module} {name}")));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(name), Value::Text(module)) = (self.values.get(name)?, self.values.get(module)?)
                else {
                    return None;
                };
                let global = format!("{module} {name}");
                self.push(Value::Global(global));
            }
            b']' | b')' | 0x8f => self.push(Value::Sequence(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            b't' | b'l' | 0x91 => {
                let items = self.since_mark()?;
                self.push(Value::Sequence(items));
            }
            0x85 => self.push_tuple(1)?,
            0x86 => self.push_tuple(2)?,
            0x87 => self.push_tuple(3)?,
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.since_mark()?;
                self.extend(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(&items)?;
            }
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                // An empty ordered dict is filled like any other.
                let is_dict =
                    matches!(self.values.get(callable), Some(Value::Global(name)) if name == "collections OrderedDict");
                self.push(if is_dict { Value::Dict(Vec::new()) } else { Value::Call(callable, arguments) });
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id));
            }
            b'q' => self.put(1)?,
            b'r' => self.put(4)?,
            0x94 => {
                let key = self.memo.len();
                self.memo.insert(key, *self.stack.last()?);
            }
            b'h' => self.get(1)?,
            b'j' => self.get(4)?,
            _ => return None,
        }
        Some(true)
    }

    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let bytes = self.bytes.get(self.at..self.at.checked_add(n)?)?;
        self.at += n;
        Some(bytes)
    }

    fn line(&mut self) -> Option<&'a str> {
        let rest = self.bytes.get(self.at..)?;
        let n = rest.iter().position(|&byte| byte == b'\n')?;
        self.at += n + 1;
        std::str::from_utf8(&rest[..n]).ok()
    }

    /// An unsigned number of up to 4 bytes.
    fn length(&mut self, n_bytes: usize) -> Option<usize> {
        Some(self.take(n_bytes)?.iter().rev().fold(0, |number, &byte| number << 8 | usize::from(byte)))
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    /// A number: of 1 or 2 bytes without a sign, of others with one. Numbers above 63 bits are none that are needed.
    fn push_int(&mut self, n_bytes: usize) -> Option<()> {
        let bytes = self.take(n_bytes)?;
        let is_negative = n_bytes > 2 && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = [if is_negative { 0xff } else { 0 }; 8];
        let value = match wide.get_mut(..n_bytes) {
            Some(low) => {
                low.copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(wide))
            }
            None => Value::Other,
        };
        self.push(value);
        Some(())
    }

    fn push_text(&mut self, n_bytes: usize) -> Option<()> {
        let len = self.length(n_bytes)?;
        let text = std::str::from_utf8(self.take(len)?).ok()?.to_owned();
        self.push(Value::Text(text));
        Some(())
    }

    fn push_tuple(&mut self, n: usize) -> Option<()> {
        let items = self.stack.split_off(self.stack.len().checked_sub(n)?);
        self.push(Value::Sequence(items));
        Some(())
    }

    fn pop(&mut self) -> Option<Id> {
        self.stack.pop()
    }

    fn since_mark(&mut self) -> Option<Vec<Id>> {
        let mark = self.marks.pop()?;
        (mark <= self.stack.len()).then(|| self.stack.split_off(mark))
    }

    fn extend(&mut self, items: Vec<Id>) -> Option<()> {
        let Value::Sequence(list) = self.values.get_mut(*self.stack.last()?)? else { return None };
        list.extend(items);
        Some(())
    }

    fn set(&mut self, items: &[Id]) -> Option<()> {
        // Some objects are filled like a dict; only dicts are looked at later.
        if let Value::Dict(dict) = self.values.get_mut(*self.stack.last()?)? {
            dict.extend(items.as_chunks::<2>().0.iter().map(|&[key, value]| (key, value)));
        }
        items.len().is_multiple_of(2).then_some(())
    }

    fn put(&mut self, n_bytes: usize) -> Option<()> {
        let key = self.length(n_bytes)?;
        self.memo.insert(key, *self.stack.last()?);
        Some(())
    }

    fn get(&mut self, n_bytes: usize) -> Option<()> {
        let key = self.length(n_bytes)?;
        self.stack.push(*self.memo.get(&key)?);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `pickle.dumps({"a": [1, -2, 70000], "b": (None, "é")}, 2)`, with memo instructions.
    const SMALL: &[u8] = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xfe\xff\xff\xffJp\x11\x01\x00eX\x01\x00\x00\x00bq\x03NX\x02\x00\x00\x00\xc3\xa9q\x04\x86q\x05u.";

    #[test]
    fn a_small_pickle_by_hand() {
        let pickle = Pickle::read(SMALL).unwrap();
        assert_eq!(pickle.n_bytes, SMALL.len());
        let Value::Dict(items) = pickle.value(pickle.root) else { panic!("not a dict") };
        let [(a, list), (b, pair)] = items[..] else { panic!("not two items") };
        assert_eq!((pickle.text(a), pickle.text(b)), (Some("a"), Some("b")));
        let numbers: Vec<_> = pickle.items(list).unwrap().iter().map(|&id| pickle.value(id).clone()).collect();
        assert_eq!(numbers, [Value::Int(1), Value::Int(-2), Value::Int(70_000)]);
        assert_eq!(pickle.text(pickle.items(pair).unwrap()[1]), Some("é"));
    }

    #[test]
    fn a_call_is_read_and_not_made() {
        // `cos\nsystem\nX..R.`: what a hostile pickle begins with.
        let pickle = Pickle::read(b"cos\nsystem\nX\x04\x00\x00\x00true\x85R.").unwrap();
        assert!(matches!(pickle.value(pickle.root), Value::Call(..)));
    }

    proptest! {
        #[test]
        fn damaged_pickles_never_panic(at in 0..SMALL.len(), byte: u8, len in 0..=SMALL.len(), noise: Vec<u8>) {
            let mut damaged = SMALL.to_vec();
            damaged[at] = byte;
            let _ = Pickle::read(&damaged);
            prop_assert!(len == SMALL.len() || Pickle::read(&SMALL[..len]).is_none());
            if let Some(pickle) = Pickle::read(&noise) {
                prop_assert!(pickle.values.len() <= noise.len());
            }
        }
    }
}
