//! Holds a stanza or a part of it. A router must carry what it does not understand, so this is a
//! plain tree: names, namespaces, attributes, text.

/// An XML element. Its namespace is written as a literal default `xmlns` on the element itself
/// wherever it differs from the parent's, never hoisted and never as a prefix: Jitsi's clients
/// select by the literal attribute (see [`super::writer`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Local name.
    pub name: String,
    /// Namespace, empty for none.
    pub namespace: String,
    /// Attributes in order: name, value. A name without namespace is plain (`id`), one of XML's own
    /// is `xml:lang`, any other is `{namespace}name`.
    pub attributes: Vec<(String, String)>,
    /// Children in order.
    pub children: Vec<Node>,
}

/// A child of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "an element holds elements and text"
)]
pub enum Node {
    /// An element.
    Element(Element),
    /// Text, unescaped.
    Text(String),
}

impl From<Element> for Node {
    fn from(element: Element) -> Self {
        Self::Element(element)
    }
}

impl Element {
    /// An empty element.
    #[must_use]
    pub fn new(name: &str, namespace: &str) -> Self {
        Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            attributes: Vec::new(),
            children: Vec::new(),
        }
    }

    /// The same with an attribute more (or another value of it).
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.set(name, value);
        self
    }

    /// The same with a child more.
    #[must_use]
    pub fn child(mut self, child: Self) -> Self {
        self.children.push(Node::Element(child));
        self
    }

    /// The same with children more.
    #[must_use]
    pub fn children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children
            .extend(children.into_iter().map(Node::Element));
        self
    }

    /// The same with text more.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.children.push(Node::Text(text.into()));
        self
    }

    /// Sets an attribute.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.attributes.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value,
            None => self.attributes.push((name.to_owned(), value)),
        }
    }

    /// Takes an attribute away.
    pub fn unset(&mut self, name: &str) {
        self.attributes.retain(|(n, _)| n != name);
    }

    /// Value of an attribute.
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// Whether it has this name and namespace.
    #[must_use]
    pub fn is(&self, name: &str, namespace: &str) -> bool {
        self.name == name && self.namespace == namespace
    }

    /// The first child of this name and namespace.
    #[must_use]
    pub fn find(&self, name: &str, namespace: &str) -> Option<&Self> {
        self.elements().find(|child| child.is(name, namespace))
    }

    /// Child elements in order.
    pub fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// Child elements in order, to be changed.
    pub fn elements_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        self.children.iter_mut().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// Keeps the child elements that `keep` accepts, and all text.
    pub fn retain_elements(&mut self, mut keep: impl FnMut(&Self) -> bool) {
        self.children.retain(|node| match node {
            Node::Element(element) => keep(element),
            Node::Text(_) => true,
        });
    }

    /// Whether it or an element in it is of this namespace.
    #[must_use]
    pub fn mentions(&self, namespace: &str) -> bool {
        self.namespace == namespace || self.elements().any(|child| child.mentions(namespace))
    }

    /// Roughly how many bytes it takes on the wire; what queues count.
    #[must_use]
    pub fn weight(&self) -> usize {
        let attributes = self.attributes.iter().map(|(n, v)| n.len() + v.len() + 4);
        let children = self.children.iter().map(|node| match node {
            Node::Element(element) => element.weight(),
            Node::Text(text) => text.len(),
        });
        2 * self.name.len() + self.namespace.len() + 16 + attributes.chain(children).sum::<usize>()
    }

    /// Its own text, without that of its children.
    #[must_use]
    pub fn own_text(&self) -> String {
        self.children
            .iter()
            .filter_map(|node| match node {
                Node::Text(text) => Some(text.as_str()),
                Node::Element(_) => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_set_once_and_can_be_taken_away() {
        let mut element = Element::new("iq", "jabber:client")
            .with("id", "1")
            .with("id", "2");
        assert_eq!(element.attributes.len(), 1);
        assert_eq!(element.attr("id"), Some("2"));
        element.unset("id");
        assert_eq!(element.attr("id"), None);
    }

    #[test]
    fn a_child_is_found_by_name_and_namespace() {
        let element = Element::new("iq", "jabber:client")
            .text("around ")
            .child(Element::new("query", "a"))
            .child(Element::new("query", "b").text("inner"))
            .text("it");
        assert_eq!(
            element.find("query", "b").map(Element::own_text).as_deref(),
            Some("inner")
        );
        assert!(element.find("query", "c").is_none());
        assert_eq!(element.own_text(), "around it");
    }
}
