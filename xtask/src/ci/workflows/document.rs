//! A YAML document whose values know their lines, so that a fault names its line. It also
//! notes what is not in the one plain style of this project's workflows.

use yaml_rust2::parser::{Event, MarkedEventReceiver, Parser};
use yaml_rust2::scanner::{Marker, TScalarStyle};

/// What is not in block style with plain keys and one-line values.
const ODD: &str = "write it in block style, with plain keys and one-line values";

pub struct Document {
    /// `None` if it is not one YAML document.
    pub root: Option<Node>,
    /// Line and text of each fault of syntax and style.
    pub faults: Vec<(usize, String)>,
}

#[derive(Debug)]
pub struct Node {
    pub line: usize,
    pub value: Value,
}

#[derive(Debug)]
pub enum Value {
    Scalar(String),
    List(Vec<Node>),
    /// In the order of the file; a key may be there twice.
    Map(Vec<(Node, Node)>),
}

impl Document {
    pub fn parse(text: &str) -> Self {
        let mut builder =
            Builder { lines: text.lines().collect(), open: Vec::new(), roots: Vec::new(), odd: Vec::new() };
        let parsed = Parser::new_from_str(text).load(&mut builder, true);
        let mut faults: Vec<(usize, String)> = builder.odd.iter().map(|line| (*line, ODD.to_owned())).collect();
        if let Err(error) = parsed {
            faults.push((error.marker().line(), format!("is not YAML: {}", error.info())));
            builder.roots.clear();
        } else if builder.roots.len() != 1 {
            faults.push((1, format!("holds {} YAML documents, not one", builder.roots.len())));
            builder.roots.clear();
        }
        Self { root: builder.roots.pop(), faults }
    }
}

impl Node {
    pub fn scalar(&self) -> Option<&str> {
        if let Value::Scalar(text) = &self.value { Some(text) } else { None }
    }

    pub fn entries(&self) -> &[(Self, Self)] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name.scalar() == Some(key)).map(|(_, value)| value)
    }

    /// What is at the end of a path of keys, in each entry of each list on the way.
    pub fn at(&self, path: &[&str]) -> Vec<&Self> {
        match (&self.value, path) {
            (Value::List(nodes), _) => nodes.iter().flat_map(|node| node.at(path)).collect(),
            (_, []) => vec![self],
            (Value::Map(_), [key, rest @ ..]) => self.get(key).map_or_else(Vec::new, |node| node.at(rest)),
            (Value::Scalar(_), _) => Vec::new(),
        }
    }

    /// All mappings in it, itself too.
    pub fn mappings(&self) -> Vec<&Self> {
        match &self.value {
            Value::Scalar(_) => Vec::new(),
            Value::List(nodes) => nodes.iter().flat_map(Self::mappings).collect(),
            Value::Map(entries) => {
                let inner = entries.iter().flat_map(|(key, value)| key.mappings().into_iter().chain(value.mappings()));
                std::iter::once(self).chain(inner).collect()
            }
        }
    }

    /// A name, each name of a list, or each key of a mapping: the forms that `on:` may have.
    pub fn names(&self) -> Vec<&Self> {
        match &self.value {
            Value::Scalar(_) => vec![self],
            Value::List(nodes) => nodes.iter().collect(),
            Value::Map(entries) => entries.iter().map(|(key, _)| key).collect(),
        }
    }
}

/// Puts the parser's events together.
struct Builder<'a> {
    lines: Vec<&'a str>,
    open: Vec<Open>,
    roots: Vec<Node>,
    odd: Vec<usize>,
}

/// A list or mapping whose end has not come yet.
struct Open {
    line: usize,
    is_map: bool,
    is_flow: bool,
    /// Of a mapping, keys and values in turn.
    nodes: Vec<Node>,
}

impl Open {
    fn expects_key(&self) -> bool {
        self.is_map && self.nodes.len().is_multiple_of(2)
    }

    fn close(self) -> Node {
        let value = if self.is_map {
            let mut nodes = self.nodes.into_iter();
            let pairs = std::iter::from_fn(|| Some((nodes.next()?, nodes.next()?)));
            Value::Map(pairs.collect())
        } else {
            Value::List(self.nodes)
        };
        Node { line: self.line, value }
    }
}

impl Builder<'_> {
    fn add(&mut self, node: Node) {
        match self.open.last_mut() {
            Some(open) => open.nodes.push(node),
            None => self.roots.push(node),
        }
    }

    fn note_odd(&mut self, is_odd: bool, line: usize) {
        if is_odd {
            self.odd.push(line);
        }
    }

    fn is_key(&self) -> bool {
        self.open.last().is_some_and(Open::expects_key)
    }

    /// Whether it is the value of that key.
    fn is_value_of(&self, key: &str) -> bool {
        let open = self.open.last().filter(|open| open.is_map && !open.expects_key());
        open.and_then(|open| open.nodes.last()).and_then(Node::scalar) == Some(key)
    }

    fn open(&mut self, mark: Marker, is_map: bool) {
        let first = self.lines.get(mark.line() - 1).and_then(|line| line.chars().nth(mark.col()));
        let is_flow = first == Some(if is_map { '{' } else { '[' });
        let is_odd = self.is_key() || is_flow && !is_map && !self.is_value_of("branches");
        self.note_odd(is_odd, mark.line());
        self.open.push(Open { line: mark.line(), is_map, is_flow, nodes: Vec::new() });
    }
}

impl MarkedEventReceiver for Builder<'_> {
    fn on_event(&mut self, event: Event, mark: Marker) {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == TScalarStyle::Plain;
                let is_block = matches!(style, TScalarStyle::Literal | TScalarStyle::Folded);
                let is_odd_key = self.is_key() && (!is_plain || text == "<<");
                // A block's own marker is at its text, a line below the key.
                let key_line = self.open.last().filter(|open| open.is_map).and_then(|open| open.nodes.last());
                self.note_odd(is_block, key_line.map_or(mark.line(), |key| key.line));
                self.note_odd(is_odd_key || anchor != 0 || tag.is_some(), mark.line());
                self.note_odd(self.open.last().is_some_and(|open| open.is_map && open.is_flow), mark.line());
                self.add(Node { line: mark.line(), value: Value::Scalar(text) });
            }
            Event::Alias(_) => {
                self.note_odd(true, mark.line());
                self.add(Node { line: mark.line(), value: Value::Scalar(String::new()) });
            }
            Event::SequenceStart(anchor, tag) => {
                self.note_odd(anchor != 0 || tag.is_some(), mark.line());
                self.open(mark, false);
            }
            Event::MappingStart(anchor, tag) => {
                self.note_odd(anchor != 0 || tag.is_some(), mark.line());
                self.open(mark, true);
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    self.add(open.close());
                }
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart | Event::DocumentEnd => {}
        }
    }
}
