//! Reading label selectors as queries spell them, with the errors of `labels.Parse`.

use super::{Operator, Requirement, Selector};
use crate::findings::quoted;
use crate::names;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Error,
    End,
    Close,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    Greater,
    Identifier,
    In,
    Less,
    NotEquals,
    NotIn,
    Open,
}

struct Parser {
    items: Vec<(Token, String)>,
    position: usize,
}

/// Reads a selector; requirements are sorted by key.
pub(super) fn parse(text: &str) -> Result<Selector, String> {
    let mut parser = Parser { items: scan(text), position: 0 };
    let mut requirements = parser.requirements()?;
    requirements.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(Selector(requirements))
}

fn scan(text: &str) -> Vec<(Token, String)> {
    let mut items = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(first) = rest.chars().next() else { break };
        let length = if is_symbol(first) {
            symbol(rest, &mut items)
        } else {
            let end = rest.find(|c: char| is_symbol(c) || matches!(c, ' ' | '\t' | '\r' | '\n')).unwrap_or(rest.len());
            let word = &rest[..end];
            let token = match word {
                "in" => Token::In,
                "notin" => Token::NotIn,
                _ => Token::Identifier,
            };
            items.push((token, word.to_owned()));
            end
        };
        rest = &rest[length..];
    }
    items.push((Token::End, String::new()));
    items
}

fn is_symbol(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

/// The longest symbol at the start; its length.
fn symbol(rest: &str, items: &mut Vec<(Token, String)>) -> usize {
    let known = [
        ("==", Token::DoubleEquals),
        ("!=", Token::NotEquals),
        ("=", Token::Equals),
        ("!", Token::Not),
        (")", Token::Close),
        ("(", Token::Open),
        (",", Token::Comma),
        (">", Token::Greater),
        ("<", Token::Less),
    ];
    match known.iter().find(|(symbol, _)| rest.starts_with(symbol)) {
        Some((symbol, token)) => {
            items.push((*token, (*symbol).to_owned()));
            symbol.len()
        }
        None => {
            items.push((Token::Error, format!("error expected: keyword found '{rest}'")));
            rest.len()
        }
    }
}

impl Parser {
    /// The next token, where words of operators are words.
    fn peek(&self) -> (Token, &str) {
        let (token, literal) = &self.items[self.position.min(self.items.len() - 1)];
        (if matches!(token, Token::In | Token::NotIn) { Token::Identifier } else { *token }, literal)
    }

    fn take(&mut self) -> (Token, String) {
        let (token, literal) = self.peek();
        let taken = (token, literal.to_owned());
        self.position += 1;
        taken
    }

    fn requirements(&mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                (Token::Identifier | Token::Not, _) => {
                    let requirement = self.requirement().map_err(|e| format!("unable to parse requirement: {e}"))?;
                    requirements.push(requirement);
                    match self.take() {
                        (Token::End, _) => return Ok(requirements),
                        (Token::Comma, _) => {
                            let (next, literal) = self.peek();
                            if !matches!(next, Token::Identifier | Token::Not) {
                                return Err(format!("found '{literal}', expected: identifier after ','"));
                            }
                        }
                        (_, literal) => return Err(format!("found '{literal}', expected: ',' or 'end of string'")),
                    }
                }
                (Token::End, _) => return Ok(requirements),
                (_, literal) => {
                    return Err(format!("found '{literal}', expected: !, identifier, or 'end of string'"));
                }
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let (mut token, mut key) = self.take();
        let negated = token == Token::Not;
        if negated {
            (token, key) = self.take();
        }
        if token != Token::Identifier {
            return Err(format!("found '{key}', expected: identifier"));
        }
        let messages = names::qualified_name(&key);
        if !messages.is_empty() {
            return Err(format!("<nil>: Invalid value: {}: {}", quoted(&key), messages.join("; ")));
        }
        if negated {
            return Ok(Requirement { key, operator: Operator::DoesNotExist });
        }
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok(Requirement { key, operator: Operator::Exists });
        }
        let (operator, literal) = self.items[self.position.min(self.items.len() - 1)].clone();
        self.position += 1;
        let operator = match operator {
            Token::In => Operator::In(self.values()?),
            Token::NotIn => Operator::NotIn(self.values()?),
            Token::Equals | Token::DoubleEquals => Operator::Equals(self.value()?),
            Token::NotEquals => Operator::NotEquals(self.value()?),
            Token::Greater => Operator::Gt(bound(&self.value()?)?),
            Token::Less => Operator::Lt(bound(&self.value()?)?),
            _ => return Err(format!("found '{literal}', expected: in, notin, =, ==, !=, gt, lt")),
        };
        judge_values(&key, &operator)?;
        Ok(Requirement { key, operator })
    }

    /// `(a, b)`, sorted and without doubles; `()` and stray commas stand for the empty value.
    fn values(&mut self) -> Result<Vec<String>, String> {
        let (token, literal) = self.take();
        if token != Token::Open {
            return Err(format!("found '{literal}' expected: '('"));
        }
        let mut values = match self.peek() {
            (Token::Identifier | Token::Comma, _) => self.identifiers()?,
            (Token::Close, _) => vec![String::new()],
            (_, literal) => return Err(format!("found '{literal}', expected: ',', ')' or identifier")),
        };
        self.take();
        values.sort();
        values.dedup();
        Ok(values)
    }

    fn identifiers(&mut self) -> Result<Vec<String>, String> {
        let mut values = Vec::new();
        loop {
            match self.take() {
                (Token::Identifier, literal) => {
                    values.push(literal);
                    match self.peek() {
                        (Token::Comma, _) => {}
                        (Token::Close, _) => return Ok(values),
                        (_, literal) => return Err(format!("found '{literal}', expected: ',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    if values.is_empty() {
                        values.push(String::new());
                    }
                    match self.peek().0 {
                        Token::Close => {
                            values.push(String::new());
                            return Ok(values);
                        }
                        Token::Comma => values.push(String::new()),
                        _ => {}
                    }
                }
                (_, literal) => return Err(format!("found '{literal}', expected: ',', or identifier")),
            }
        }
    }

    fn value(&mut self) -> Result<String, String> {
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok(String::new());
        }
        match self.take() {
            (Token::Identifier, literal) => Ok(literal),
            (_, literal) => Err(format!("found '{literal}', expected: identifier")),
        }
    }
}

fn bound(text: &str) -> Result<i64, String> {
    let message = "for 'Gt', 'Lt' operators, the value must be an integer";
    text.parse().map_err(|_| format!("values[0]: Invalid value: {}: {message}", quoted(text)))
}

fn judge_values(key: &str, operator: &Operator) -> Result<(), String> {
    let values = match operator {
        Operator::Equals(value) | Operator::NotEquals(value) => std::slice::from_ref(value),
        Operator::In(values) | Operator::NotIn(values) => values,
        _ => &[],
    };
    let mut errors = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let messages = names::label_value(value);
        if !messages.is_empty() {
            errors.push(format!("values[{index}][{key}]: Invalid value: {}: {}", quoted(value), messages.join("; ")));
        }
    }
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.remove(0)),
        _ => Err(format!("[{}]", errors.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_those_of_kubernetes() {
        let check = |text: &str, expected: &str| assert_eq!(parse(text).unwrap_err(), expected, "{text}");
        check("a b=c", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt");
        check("app in web", "unable to parse requirement: found 'web' expected: '('");
        check("=x", "found '=', expected: !, identifier, or 'end of string'");
        check("a=b,,c=d", "found ',', expected: identifier after ','");
        check("a=b,", "found '', expected: identifier after ','");
        check(
            "n>x",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
        );
        check("x in (a", "unable to parse requirement: found '', expected: ',' or ')'");
        check("a=b c", "found 'c', expected: ',' or 'end of string'");
        assert!(
            parse("_x=y")
                .unwrap_err()
                .starts_with("unable to parse requirement: <nil>: Invalid value: \"_x\": name part must consist of")
        );
        assert!(
            parse("x=-")
                .unwrap_err()
                .starts_with("unable to parse requirement: values[0][x]: Invalid value: \"-\": a valid label must be")
        );
    }

    #[test]
    fn selectors_are_written_in_order() {
        let check = |text: &str, expected: &str| assert_eq!(parse(text).unwrap().to_string(), expected, "{text}");
        check("b=c,a", "a,b=c");
        check("x in (c,a,b)", "x in (a,b,c)");
        check("x in ()", "x in ()");
        check("!x, y!=z ,n>3", "n>3,!x,y!=z");
        check("in=notin", "in=notin");
    }
}
