//! Expectations of the reader, as tables.

use super::*;

/// What makes a text with so many of something, how many are allowed, and how the error calls them.
type Case<'a> = (&'a dyn Fn(usize) -> String, usize, &'a str);

fn read(text: &str, tolerant: bool) -> Result<usize, XmlError> {
    let mut xml = XmlReader::new(text, tolerant)?;
    let mut events = 0;
    while !matches!(xml.next_event()?, XmlEvent::Eof) {
        events += 1;
    }
    Ok(events)
}

#[test]
fn what_xml_or_the_gateway_does_not_allow_is_refused_by_name() {
    let cases: &[(&str, &str)] = &[
        ("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "a document type declaration at byte 0 is refused"),
        ("<a>&b;</a>", "an entity or character reference of that name at byte 3 is refused"),
        ("<a>&#0;</a>", "an entity or character reference of that name at byte 3 is refused"),
        ("<a>&#x1;</a>", "an entity or character reference of that name at byte 3 is refused"),
        ("<a><?php x?></a>", "a processing instruction at byte 3 is refused"),
        ("<a/><?xml version=\"1.0\"?>", "a second XML declaration"),
        (
            "<?xml version=\"1.0\" encoding=\"UTF-16\"?><a/>",
            "an encoding other than UTF-8 at byte 0 is refused",
        ),
        ("<?xml version=\"1.1\"?><a/>", "byte 0: the XML declaration"),
        ("<a/><b/>", "byte 4: a second root element"),
        ("x<a/>", "byte 0: text outside the root element"),
        ("<a/>x", "byte 4: text outside the root element"),
        ("<a>]]></a>", "byte 3: `]]>` in text"),
        ("<a>\u{1}</a>", "byte 3: a character XML does not have"),
        ("<a>\0</a>", "byte 3: a character XML does not have"),
        ("<a>\u{fffe}</a>", "byte 3: a character XML does not have"),
        ("<1a/>", "a name"),
        ("<a:b:c xmlns:a='u'/>", "a name"),
        ("<a b='<'/>", "`<` in an attribute value"),
        ("<a b='1' b='2'/>", "an attribute given twice"),
        ("<a xmlns:x='u' xmlns:y='u' x:b='1' y:b='2'/>", "an attribute given twice"),
        ("<a b=1/>", "the attributes of a tag"),
        ("<a b='1'c='2'/>", "the attributes of a tag"),
        ("<a></b>", "a tag, comment or reference does not match"),
        ("<a>", "the text ends before its root element does"),
        ("<a", "markup does not end"),
        ("", "the text ends before its root element does"),
        ("<a xmlns:xml='u'/>", "a namespace declaration"),
        ("<a xmlns:b=''/>", "a namespace declaration"),
    ];
    for (text, expected) in cases {
        let error = read(text, false).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert_eq!(utf8(b"<a>\xff</a>"), Err(XmlError::NotUtf8(3)));
}

#[test]
fn an_undeclared_prefix_is_refused_in_requests_and_guessed_in_answers() {
    assert!(matches!(read("<tt:a/>", false), Err(XmlError::UndeclaredPrefix(_, prefix)) if prefix == "tt"));
    let mut xml = XmlReader::tolerant("\n<tt:a/>").unwrap();
    let Ok(XmlEvent::Start(name)) = xml.next_event() else { panic!("a start") };
    assert_eq!((xml.uri(name.space), name.local), ("http://www.onvif.org/ver10/schema", "a"));
    assert_eq!(xml.take_repairs(), ["white space before the document", "undeclared prefix tt"]);
}

#[test]
fn an_answer_may_declare_another_encoding_where_that_changes_nothing() {
    let declared =
        |encoding: &str, text: &str| format!("<?xml version='1.0' encoding='{encoding}'?><a>{text}</a>");
    for (encoding, text, is_read) in [
        ("utf-16", "é", true),
        ("UTF-16LE", "a", true),
        ("GB2312", "a", true),
        ("iso-8859-1", "a", true),
        ("iso-8859-1", "é", false),
        ("GB2312", "é", false),
        ("utf-7", "a", false),
        ("ibm037", "a", false),
    ] {
        let text = declared(encoding, text);
        let mut xml = XmlReader::tolerant(&text).unwrap();
        let event = xml.next_event();
        assert_eq!(event.is_ok(), is_read, "{text}: {event:?}");
        let repairs =
            if is_read { vec![format!("declared as {encoding}, read as UTF-8")] } else { Vec::new() };
        assert_eq!(xml.take_repairs(), repairs);
        assert!(read(&text, false).is_err(), "a request says what it is: {text}");
    }
    let mut xml = XmlReader::tolerant("<?xml-stylesheet href='x'?><a>b<?p x?>c</a>").unwrap();
    assert!(matches!(xml.next_event(), Ok(XmlEvent::Start(_))));
    assert!(matches!(xml.next_event(), Ok(XmlEvent::Text(text)) if text == "bc"));
    assert_eq!(xml.take_repairs(), ["a processing instruction left out"]);
}

#[test]
fn every_limit_holds_at_its_number_and_not_beyond() {
    let nested = |depth| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    let attributes = |count| format!("<a{}/>", (0..count).map(|it| format!(" b{it}=''")).collect::<String>());
    let named = |length| format!("<{}/>", "a".repeat(length));
    let text = |length| format!("<a>{}</a>", "x".repeat(length));
    let bound = |length| format!("<a xmlns:b='{}'/>", "u".repeat(length));
    let cases: [Case; 5] = [
        (&nested, XML_DEPTH_MAX, "levels of elements"),
        (&attributes, XML_ATTRIBUTES_MAX, "attributes"),
        (&named, XML_NAME_BYTES_MAX, "bytes of a name"),
        (&text, XML_TEXT_BYTES_MAX, "bytes of text"),
        (&bound, XML_NAMESPACE_BYTES_MAX, "bytes of a namespace"),
    ];
    for (make, max, what) in cases {
        assert!(read(&make(max), false).is_ok(), "{max} {what} are read");
        let error = read(&make(max + 1), false).expect_err(what);
        assert!(matches!(error, XmlError::TooMuch(_, it, name) if it == max && name == what), "{error}");
    }
    let wide = format!("<a>{}</a>", "<b/>".repeat(XML_NODES_MAX));
    assert!(matches!(read(&wide, false), Err(XmlError::TooMuch(_, XML_NODES_MAX, _))));
}

#[test]
fn text_between_tags_is_one_piece_and_scopes_end() {
    let mut xml =
        XmlReader::strict("<a xmlns='u'>x<!-- c -->&amp;<![CDATA[<y>]]>\r\n<b xmlns='v'/></a>").unwrap();
    assert!(matches!(xml.next_event(), Ok(XmlEvent::Start(_))));
    let Ok(XmlEvent::Text(text)) = xml.next_event() else { panic!("text") };
    assert_eq!(text, "x&<y>\n");
    let Ok(XmlEvent::Start(inner)) = xml.next_event() else { panic!("b") };
    assert_eq!(xml.uri(inner.space), "v");
    assert!(matches!(xml.next_event(), Ok(XmlEvent::End)));
    assert!(matches!(xml.next_event(), Ok(XmlEvent::End)));
    assert!(matches!(xml.next_event(), Ok(XmlEvent::Eof)));
}
