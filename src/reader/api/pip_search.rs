//! The answer to `pip search`, which asks by XML-RPC and is not supported.
//!
//! pip prints the text of a fault and nothing of any other answer, so the answer is a fault, sent with
//! status 200 to a `POST` whose content type is `text/xml`.

use bytes::Bytes;
use maud::html;

/// The content type of a fault.
pub const FAULT_CONTENT_TYPE: &str = "text/xml";

/// The XML-RPC specification's number for a method that does not exist.
const METHOD_NOT_FOUND: i32 = -32601;

/// A fault that says where to search instead; `gateway` is the URL of the public door.
#[must_use]
pub fn search_fault(gateway: &str) -> Bytes {
    let gateway = gateway.trim_end_matches('/');
    let words = format!(
        "pip search is not supported here: search by name in a browser at {gateway}/+search, \
         or ask for one project with: pip index versions NAME"
    );
    let escaped = html! { (words) }.into_string();
    let text = format!(
        "<?xml version=\"1.0\"?>\n<methodResponse><fault><value><struct>\
         <member><name>faultCode</name><value><int>{METHOD_NOT_FOUND}</int></value></member>\
         <member><name>faultString</name><value><string>{escaped}</string></value></member>\
         </struct></value></fault></methodResponse>\n"
    );
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fault_says_where_to_search_and_cannot_be_broken_out_of() {
        let fault = search_fault("http://h/</string>&/");
        insta::assert_snapshot!(std::str::from_utf8(&fault).unwrap(), @r#"
        <?xml version="1.0"?>
        <methodResponse><fault><value><struct><member><name>faultCode</name><value><int>-32601</int></value></member><member><name>faultString</name><value><string>pip search is not supported here: search by name in a browser at http://h/&lt;/string&gt;&amp;/+search, or ask for one project with: pip index versions NAME</string></value></member></struct></value></fault></methodResponse>
        "#);
    }
}
