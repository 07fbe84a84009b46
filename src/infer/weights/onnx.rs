//! ONNX: the initialisers of a graph, by name, and what its convolutions skip. The rest of the graph is not read: what is
//! computed is known.
//!
//! Source: onnx 1.19 `onnx.proto` (field numbers) and the Protocol Buffers encoding.

use super::{
    Checkpoint, MAX_RANK,
    entry::{Encoding, Entry},
};
use crate::{Error, Result};

/// Largest file that is read: the largest published voices have 114 MB.
const MAX_BYTES: u64 = 256 << 20;
/// Fields of `ModelProto`, `GraphProto`, `NodeProto`, `AttributeProto` and `TensorProto`.
const MODEL_GRAPH: u64 = 7;
const GRAPH_NODE: u64 = 1;
const GRAPH_INITIALIZER: u64 = 5;
const NODE_INPUT: u64 = 1;
const NODE_NAME: u64 = 3;
const NODE_OPERATION: u64 = 4;
const NODE_ATTRIBUTE: u64 = 5;
const ATTRIBUTE_NAME: u64 = 1;
const ATTRIBUTE_INTS: u64 = 8;
const TENSOR_DIMS: u64 = 1;
const TENSOR_TYPE: u64 = 2;
const TENSOR_FLOAT_DATA: u64 = 4;
const TENSOR_NAME: u64 = 8;
const TENSOR_RAW_DATA: u64 = 9;

/// Reads the table of a file, without the values.
pub(super) fn index(checkpoint: &mut Checkpoint, number: usize) -> Result<()> {
    let file = &checkpoint.files[number];
    if file.len > MAX_BYTES {
        return Err(Error::TooLarge { what: "ONNX file", got_bytes: file.len, limit_bytes: MAX_BYTES });
    }
    let bytes = file.read(0, usize::try_from(file.len).unwrap_or(usize::MAX))?;
    let (entries, nodes) = graph(&bytes, number)
        .ok_or_else(|| file.damaged("is not an ONNX model, or is damaged; expected tensors as raw data".to_owned()))?;
    checkpoint.entries.extend(entries);
    for node in nodes {
        node.tell(checkpoint);
    }
    Ok(())
}

/// How far a convolution's inputs (or, of a transposed one, its outputs) are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    /// Steps from one output to the next; of a transposed convolution from one input to the next.
    pub stride: usize,
    /// Steps between taps.
    pub dilation: usize,
}

/// A node that uses weights.
struct Node {
    operation: String,
    /// The module's path, such as `dec.ups.0`.
    module: String,
    inputs: Vec<String>,
    convolution: Convolution,
}

impl Node {
    #[allow(clippy::option_option, reason = "the outer one is damage, the inner one a node that is not read")]
    /// The node of a message; no node for operations without weights, or without a module's path for a name.
    fn read(message: &[u8]) -> Option<Option<Self>> {
        let (mut operation, mut path, mut inputs) = (String::new(), String::new(), Vec::new());
        let mut convolution = Convolution { stride: 1, dilation: 1 };
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).ok();
        for (field, value) in Fields::of(message, 0).collect::<Option<Vec<_>>>()? {
            match (field, value) {
                (NODE_INPUT, Value::Bytes(_, value)) => inputs.push(text(value)?),
                (NODE_NAME, Value::Bytes(_, value)) => path = text(value)?,
                (NODE_OPERATION, Value::Bytes(_, value)) => operation = text(value)?,
                (NODE_ATTRIBUTE, Value::Bytes(_, value)) => match attribute(value)? {
                    Some(("strides", first)) => convolution.stride = first,
                    Some(("dilations", first)) => convolution.dilation = first,
                    _ => {}
                },
                _ => {}
            }
        }
        let has_weights = matches!(operation.as_str(), "Conv" | "ConvTranspose" | "Gather");
        let module = path.strip_prefix('/').and_then(|path| path.strip_suffix(&format!("/{operation}")));
        let module = module.filter(|_| has_weights).map(|module| module.replace('/', "."));
        Some(module.map(|module| Self { operation, module, inputs, convolution }))
    }

    /// Notes what the node says about its module. Exporters give weights that were computed (of normalised weights), or
    /// that another input shares its name with, names of their own: these get those of the module.
    fn tell(self, checkpoint: &mut Checkpoint) {
        let is_table = self.operation == "Gather";
        let weight = format!("{}.weight", self.module);
        if !checkpoint.entries.contains_key(&weight)
            && let Some(entry) = self.inputs.get(usize::from(!is_table)).and_then(|name| checkpoint.entries.get(name))
            && entry.shape.len() > 1
        {
            checkpoint.entries.insert(weight, entry.clone());
        }
        if !is_table {
            checkpoint.convolutions.insert(self.module, self.convolution);
        }
    }
}

#[allow(clippy::option_option, reason = "the outer one is damage, the inner one an attribute that is not read")]
/// Name and first integer of an attribute.
fn attribute(message: &[u8]) -> Option<Option<(&str, usize)>> {
    let (mut name, mut first) = ("", None);
    for (field, value) in Fields::of(message, 0).collect::<Option<Vec<_>>>()? {
        match (field, value) {
            (ATTRIBUTE_NAME, Value::Bytes(_, value)) => name = std::str::from_utf8(value).ok()?,
            (ATTRIBUTE_INTS, Value::Number(n)) if first.is_none() => first = usize::try_from(n).ok(),
            (ATTRIBUTE_INTS, Value::Bytes(_, mut packed)) => first = usize::try_from(varint(&mut packed)?).ok(),
            _ => {}
        }
    }
    Some(first.map(|first| (name, first)))
}

/// Tensors and nodes of a graph.
type Graph = (Vec<(String, Entry)>, Vec<Node>);

fn graph(bytes: &[u8], file: usize) -> Option<Graph> {
    let (mut entries, mut nodes) = (Vec::new(), Vec::new());
    for (field, graph) in Fields::of(bytes, 0).collect::<Option<Vec<_>>>()? {
        let Value::Bytes(at, graph) = graph else { continue };
        if field != MODEL_GRAPH {
            continue;
        }
        for (field, message) in Fields::of(graph, at).collect::<Option<Vec<_>>>()? {
            let Value::Bytes(at, message) = message else { continue };
            match field {
                GRAPH_INITIALIZER => entries.extend(entry(message, at, file)?),
                GRAPH_NODE => nodes.extend(Node::read(message)?),
                _ => {}
            }
        }
    }
    Some((entries, nodes))
}

#[allow(clippy::option_option, reason = "the outer one is damage, the inner one a tensor that is not read")]
/// The tensor's name and place; no entry for types that no model here has.
fn entry(tensor: &[u8], at: usize, file: usize) -> Option<Option<(String, Entry)>> {
    let (mut name, mut shape, mut encoding, mut data) = (String::new(), Vec::new(), None, None);
    for (field, value) in Fields::of(tensor, at).collect::<Option<Vec<_>>>()? {
        match (field, value) {
            (TENSOR_NAME, Value::Bytes(_, value)) => name = String::from_utf8(value.to_vec()).ok()?,
            (TENSOR_DIMS, Value::Number(n)) => shape.push(usize::try_from(n).ok()?),
            (TENSOR_DIMS, Value::Bytes(_, mut packed)) => {
                while !packed.is_empty() {
                    shape.push(usize::try_from(varint(&mut packed)?).ok()?);
                }
            }
            (TENSOR_TYPE, Value::Number(1)) => encoding = Some(Encoding::F32),
            (TENSOR_TYPE, Value::Number(10)) => encoding = Some(Encoding::F16),
            // Packed floats are the same little-endian bytes as raw ones.
            (TENSOR_RAW_DATA | TENSOR_FLOAT_DATA, Value::Bytes(at, value)) if !value.is_empty() => {
                data = Some((at, value.len()));
            }
            _ => {}
        }
    }
    let Some((encoding, (at, n_bytes))) = encoding.zip(data) else { return Some(None) };
    let entry = Entry { file, offset: at as u64, encoding, shape, scale: None };
    (entry.shape.len() <= MAX_RANK && entry.n_bytes() == Some(n_bytes)).then_some(Some((name, entry)))
}

/// A field's value; of bytes, also where they begin in the file.
enum Value<'a> {
    Number(u64),
    Bytes(usize, &'a [u8]),
}

/// The fields of a message; ends with `None` in the middle of a damaged one.
struct Fields<'a> {
    rest: &'a [u8],
    end: usize,
}

impl<'a> Fields<'a> {
    /// Of the message that begins at byte `at` of the file.
    fn of(message: &'a [u8], at: usize) -> Self {
        Self { rest: message, end: at + message.len() }
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = varint(&mut self.rest)?;
        let n_bytes = match key & 7 {
            0 => return Some((key >> 3, Value::Number(varint(&mut self.rest)?))),
            1 => 8,
            2 => usize::try_from(varint(&mut self.rest)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let at = self.end - self.rest.len();
        let (bytes, rest) = self.rest.split_at_checked(n_bytes)?;
        self.rest = rest;
        Some((key >> 3, Value::Bytes(at, bytes)))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// An integer of 7 bits a byte, the lowest first.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model with one initialiser: `w`, shape [2], floats 1 and 2.
    fn model() -> Vec<u8> {
        let mut tensor = vec![0x08, 2, 0x10, 1, 0x42, 1, b'w', 0x4a, 8];
        tensor.extend(1.0_f32.to_le_bytes());
        tensor.extend(2.0_f32.to_le_bytes());
        let mut graph = vec![0x2a, tensor.len() as u8];
        graph.extend(&tensor);
        let mut model = vec![0x08, 8, 0x3a, graph.len() as u8];
        model.extend(&graph);
        model
    }

    #[test]
    fn initialisers_are_found_where_they_lie() {
        let model = model();
        let found = graph(&model, 0).unwrap().0;
        assert_eq!(found.len(), 1);
        let (name, entry) = &found[0];
        assert_eq!((name.as_str(), entry.shape.as_slice()), ("w", [2].as_slice()));
        let at = usize::try_from(entry.offset).unwrap();
        let mut values = [0.0; 2];
        entry.decode(&model[at..at + 8], 0, &mut values);
        assert_eq!(values.map(f32::to_bits), [1.0_f32, 2.0].map(f32::to_bits));
    }

    /// A field of bytes.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }

    #[test]
    fn weights_without_their_own_name_get_that_of_the_module() {
        let shape = [field(9, &1.5_f32.to_le_bytes()), vec![0x08, 1, 0x08, 1, 0x08, 1, 0x10, 1]].concat();
        let tensor = field(5, &[shape, field(8, b"onnx::Conv_7")].concat());
        let attribute = |name: &[u8], value: u8| field(5, &[field(1, name), vec![0x40, value]].concat());
        let node = [
            field(1, b"x"),
            field(1, b"onnx::Conv_7"),
            field(3, b"/dec/ups.0/ConvTranspose"),
            field(4, b"ConvTranspose"),
            attribute(b"strides", 8),
            attribute(b"dilations", 2),
        ];
        let model = field(7, &[tensor, field(1, &node.concat())].concat());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.onnx");
        std::fs::write(&path, model).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!(checkpoint.shape("dec.ups.0.weight"), Some([1, 1, 1].as_slice()));
        assert_eq!(checkpoint.convolution("dec.ups.0"), Some(Convolution { stride: 8, dilation: 2 }));
        assert_eq!(checkpoint.convolution("dec.ups.1"), None);
    }

    #[test]
    fn damaged_files_are_refused_or_read_but_never_panic() {
        let model = model();
        for len in 1..model.len() {
            let _ = graph(&model[..len], 0);
        }
        assert!(graph(&model[..model.len() - 1], 0).is_none());
        for index in 0..model.len() {
            for bit in 0..8 {
                let mut damaged = model.clone();
                damaged[index] ^= 1 << bit;
                for (_, entry) in graph(&damaged, 0).unwrap_or_default().0 {
                    let end = entry.offset + entry.n_bytes().unwrap() as u64;
                    assert!(end <= damaged.len() as u64);
                }
            }
        }
        assert!(graph(b"hello, world", 0).is_none());
    }
}
