//! Calls: the few functions that are compiled, and the interpreter's.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, ListExpr, LiteralValue, operators};
use regex::RegexBuilder;

use super::signature::{self, Compiled, Gives, Signature};
use super::value::{Counting, Kind, Value};
use super::{Compiler, arithmetic, compare, names};
use crate::place::Refusal;
use crate::plan::{Binary, Foreign, Input, IntegerSource, Number, Test, Text, TextTest, Unary};

/// How deep calls that the interpreter evaluates may stand in each other: it needs much of the stack.
const FOREIGN_DEPTH_MAX: usize = 12;
/// How large a compiled pattern may be.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// How deep the groups of a pattern may stand in each other.
const PATTERN_NESTING_MAX: u32 = 32;

impl<'a> Compiler<'a> {
    #[inline(never)]
    pub(super) fn function(&mut self, expression: &'a IdedExpr, call: &'a CallExpr) -> Result<Value, Refusal> {
        let id = expression.id;
        // `math.abs` is read as a call of `abs` on something called `math`.
        let namespace = match call.target.as_deref().map(|target| &target.expr) {
            Some(Expr::Ident(name)) if name == "math" => Some(name),
            _ => None,
        };
        let name = namespace.map_or_else(|| call.func_name.clone(), |space| format!("{space}.{}", call.func_name));
        let target = match call.target.as_deref().filter(|_| namespace.is_none()) {
            Some(target) => Some(self.value(target)?),
            None => None,
        };
        let mut arguments = Vec::with_capacity(call.args.len());
        for argument in &call.args {
            arguments.push(self.value(argument)?);
        }
        if let Some(compiled) = self.compiled(id, &name, target.as_ref(), &arguments)? {
            return Ok(compiled);
        }
        let Some(signature) = Signature::of(&name, target.as_ref(), &arguments) else {
            let why = match signature::names().any(|known| known == name) {
                true => signature::wrong_arguments(&name, target.as_ref(), &arguments),
                false => names::unknown_function(&name, signature::names()),
            };
            return Err(self.refuse(id, why));
        };
        let (target, arguments) = signature.converted(target, arguments);
        let mut foreign = Foreign { call: IdedExpr::default(), inputs: Vec::new(), depth: 1, place: self.place(id) };
        let target = match target {
            Some(target) => Some(Box::new(self.input(id, target, &mut foreign)?)),
            None => call.target.clone(),
        };
        let args = arguments.into_iter().map(|argument| self.input(id, argument, &mut foreign));
        let args = args.collect::<Result<_, _>>()?;
        foreign.call = IdedExpr { id, expr: Expr::Call(CallExpr { func_name: call.func_name.clone(), target, args }) };
        Ok(signature.gives(foreign))
    }

    /// The functions that need no interpreter; nothing when it is none of them.
    #[inline(never)]
    fn compiled(
        &self,
        id: u64,
        name: &str,
        target: Option<&Value>,
        arguments: &[Value],
    ) -> Result<Option<Value>, Refusal> {
        let Some(compiled) = Compiled::of(name) else { return Ok(None) };
        Ok(Some(match (compiled, target, arguments) {
            (Compiled::Find(part), Some(Value::Text(text)), [Value::Text(sought)]) => {
                Value::truth(Test::of_texts(TextTest::Find(part, [text.clone(), sought.clone()])))
            }
            (Compiled::Matches, Some(Value::Text(text)), [pattern])
            | (Compiled::Matches, None, [Value::Text(text), pattern]) => Value::truth(self.matches(id, text, pattern)?),
            (Compiled::Size, Some(Value::Text(text)), []) | (Compiled::Size, None, [Value::Text(text)]) => {
                Value::Integer(Number::Special(Box::new(IntegerSource::Size(text.clone()))))
            }
            (Compiled::Size, Some(Value::List(list)), []) | (Compiled::Size, None, [Value::List(list)]) => {
                Value::Integer(Number::Constant(list.len() as i64))
            }
            (Compiled::Magnitude, None, [number]) => {
                arithmetic::unary(Unary::Magnitude, number.clone(), self.place(id))?
            }
            (Compiled::Double, None, [number]) => return Ok(number.clone().widened().map(Value::Double)),
            (Compiled::Integer, None, [same @ Value::Integer(_)]) | (Compiled::Text, None, [same @ Value::Text(_)]) => {
                same.clone()
            }
            _ => return Ok(None),
        }))
    }

    fn matches(&self, id: u64, text: &Text, pattern: &Value) -> Result<Test, Refusal> {
        let Value::Text(Text::Constant(pattern)) = pattern else {
            return Err(self.refuse(id, "the pattern of `matches` is written out as a text"));
        };
        let mut builder = RegexBuilder::new(pattern);
        builder.nest_limit(PATTERN_NESTING_MAX).size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX);
        match builder.build() {
            Ok(pattern) => Ok(Test::of_texts(TextTest::Matches(text.clone(), pattern))),
            Err(regex::Error::CompiledTooBig(_)) => Err(self.refuse(id, "the pattern is too large")),
            // The message repeats the pattern with a mark below it; its last line is the reason.
            Err(error) => {
                let message = error.to_string();
                let reason = message.lines().last().unwrap_or_default().trim_start_matches("error: ");
                Err(self.refuse(id, format!("the pattern cannot be read: {reason}")))
            }
        }
    }

    /// `container[index]`.
    #[inline(never)]
    pub(super) fn index(
        &mut self,
        expression: &'a IdedExpr,
        [container, index]: [&'a IdedExpr; 2],
    ) -> Result<Value, Refusal> {
        let id = expression.id;
        let (container, index) = (self.value(container)?, self.value(index)?);
        let gives = match (container.kind(), index.kind()) {
            (Kind::List(element), Kind::Integer) if *element == Kind::Null => {
                return Err(self.refuse(id, "all elements of a list that is indexed have one type"));
            }
            (Kind::List(element), Kind::Integer) => *element,
            (Kind::Map(key, element), index) if *key == index => *element,
            (container @ (Kind::List(_) | Kind::Map(..)), index) => {
                return Err(self.refuse(id, format!("{container} of this kind is not indexed by {index}")));
            }
            (other, _) => return Err(self.refuse(id, format!("`[ ]` takes a list or a map, not {other}"))),
        };
        let foreign = self.foreign(expression, operators::INDEX, [container, index])?;
        self.scalar(id, foreign, gives)
    }

    /// `value in container`.
    #[inline(never)]
    pub(super) fn within(
        &mut self,
        expression: &'a IdedExpr,
        [left, right]: [&'a IdedExpr; 2],
    ) -> Result<Value, Refusal> {
        let id = expression.id;
        let before = self.parts;
        let value = self.value(left)?;
        let parts = self.parts - before;
        let (kind, container) = (value.kind(), self.value(right)?);
        match container {
            Value::List(elements) => {
                if !elements.iter().all(Value::is_constant) {
                    self.spend(id, parts.saturating_mul(elements.len()))?;
                }
                compare::within(value, elements, self.place(id)).map(Value::truth)
            }
            Value::Other(_, Kind::List(ref key) | Kind::Map(ref key, _)) if **key == kind => {
                let foreign = self.foreign(expression, operators::IN, [value, container])?;
                Ok(Value::truth(Test::Foreign(Box::new(foreign))))
            }
            other => Err(self.refuse(id, format!("`in` does not look for {kind} in {}", other.kind()))),
        }
    }

    /// `left + right`.
    #[inline(never)]
    pub(super) fn sum(&mut self, expression: &'a IdedExpr, [left, right]: [&'a IdedExpr; 2]) -> Result<Value, Refusal> {
        match (self.value(left)?, self.value(right)?) {
            (Value::Text(Text::Constant(a)), Value::Text(Text::Constant(b))) => Ok(Value::Text(Text::Constant(a + &b))),
            (left @ Value::Text(_), right @ Value::Text(_)) => {
                Ok(Gives::Text.of(self.foreign(expression, operators::ADD, [left, right])?))
            }
            (left, right) => arithmetic::binary(Binary::Add, left, right, self.place(expression.id)),
        }
    }

    /// A map that is written out.
    #[inline(never)]
    pub(super) fn map(&mut self, expression: &'a IdedExpr) -> Result<Value, Refusal> {
        let Expr::Map(map) = &expression.expr else { return Err(self.refuse(expression.id, "it is no map")) };
        let mut kinds: Option<(Kind, Kind)> = None;
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            let (key, value) = (self.value(&entry.key)?, self.value(&entry.value)?);
            if !key.is_constant() || !value.is_constant() {
                return Err(self.refuse(entry.key.id, "the keys and values of a map are written out"));
            }
            let found = (key.kind(), value.kind());
            match &kinds {
                Some(kinds) if *kinds != found => {
                    return Err(self.refuse(entry.key.id, "all keys of a map have one type, and so have all values"));
                }
                _ => kinds = Some(found),
            }
        }
        let (key, value) = kinds.unwrap_or((Kind::Null, Kind::Null));
        let call = expression.clone();
        let foreign = Foreign { call, inputs: Vec::new(), depth: 1, place: self.place(expression.id) };
        Ok(Value::Other(Box::new(foreign), Kind::Map(Box::new(key), Box::new(value))))
    }

    /// A call of an operator that is left to the interpreter.
    fn foreign(&mut self, expression: &IdedExpr, operator: &str, operands: [Value; 2]) -> Result<Foreign, Refusal> {
        let id = expression.id;
        let mut foreign = Foreign { call: IdedExpr::default(), inputs: Vec::new(), depth: 1, place: self.place(id) };
        let mut args = Vec::with_capacity(operands.len());
        for operand in operands {
            args.push(self.input(id, operand, &mut foreign)?);
        }
        let expr = Expr::Call(CallExpr { func_name: operator.to_owned(), target: None, args });
        foreign.call = IdedExpr { id, expr };
        Ok(foreign)
    }

    /// What stands for a value in a call: itself when it is constant, the call when it is one of the interpreter too, else a name.
    fn input(&mut self, id: u64, value: Value, foreign: &mut Foreign) -> Result<IdedExpr, Refusal> {
        if value.counts() {
            return Err(self.refuse(id, "counts stand in comparisons and sums, not in calls"));
        }
        let expr = match value {
            Value::Text(Text::Foreign(inner)) => return self.nested(*inner, foreign),
            Value::Integer(Number::Foreign(inner)) => return self.nested(*inner, foreign),
            Value::Double(Number::Foreign(inner)) => return self.nested(*inner, foreign),
            Value::Other(inner, _) => return self.nested(*inner, foreign),
            Value::Text(Text::Constant(text)) => Expr::Literal(LiteralValue::String(text.into())),
            Value::Integer(Number::Constant(number)) => Expr::Literal(LiteralValue::Int(number.into())),
            Value::Double(Number::Constant(number)) => Expr::Literal(LiteralValue::Double(number.into())),
            Value::List(elements) => {
                let elements = elements.into_iter().map(|element| self.input(id, element, foreign));
                Expr::List(ListExpr::new(elements.collect::<Result<_, _>>()?))
            }
            Value::Text(text) => self.named(Input::Text(text), foreign),
            Value::Integer(number) => self.named(Input::Integer(number), foreign),
            Value::Truth { holds, present } => self.named(Input::Truth(holds, present), foreign),
            Value::Null => return Err(self.refuse(id, "a call takes no null")),
            number => match number.widened() {
                Some(number) => self.named(Input::Double(number), foreign),
                None => return Err(self.refuse(id, "a call takes numbers, texts and lists")),
            },
        };
        Ok(IdedExpr { id, expr })
    }

    fn nested(&self, inner: Foreign, foreign: &mut Foreign) -> Result<IdedExpr, Refusal> {
        foreign.inputs.extend(inner.inputs);
        foreign.depth = foreign.depth.max(inner.depth + 1);
        if foreign.depth > FOREIGN_DEPTH_MAX {
            let why = format!("calls stand deeper in calls than {FOREIGN_DEPTH_MAX} levels");
            return Err(Refusal::new(foreign.place, why));
        }
        Ok(inner.call)
    }

    fn named(&mut self, input: Input, foreign: &mut Foreign) -> Expr {
        let name = format!("@{}", self.foreign);
        self.foreign += 1;
        foreign.inputs.push((name.clone(), input));
        Expr::Ident(name)
    }

    /// What the interpreter gives, as a value of a type.
    fn scalar(&self, id: u64, foreign: Foreign, kind: Kind) -> Result<Value, Refusal> {
        let foreign = Box::new(foreign);
        Ok(match kind {
            Kind::Text => Value::Text(Text::Foreign(foreign)),
            Kind::Integer => Value::Integer(Number::Foreign(foreign)),
            Kind::Double | Kind::Decimal => Value::Double(Number::Foreign(foreign)),
            Kind::Truth => Value::truth(Test::Foreign(foreign)),
            other => return Err(self.refuse(id, format!("{other} cannot be taken out of it"))),
        })
    }
}
