#include "tests/config/cases.h"

namespace furrow::testing {

std::vector<CsvCase> csv_cases() {
  const std::string head = "id,age,file\n";
  std::vector<CsvCase> out;
  const auto add = [&](int number, std::string name, std::string text, std::string place, std::string says,
                       ErrorCode code = ErrorCode::malformed) {
    out.push_back({number, std::move(name), std::move(text), std::move(place), std::move(says), code});
  };
  add(396, "Empty", "", "1:1", "the table is empty");
  add(396, "ByteOrderMarkOnly", "\xEF\xBB\xBF", "1:1", "the table is empty");
  add(397, "HeaderOnly", head, "2:1", "columns but no rows");
  add(397, "HeaderOnlyWithoutLineEnd", "id,age,file", "1:1", "columns but no rows");
  add(398, "MissingColumn", "id,agee,file\n1,2,a\n", "1:1",
      "there is no column 'age'; the columns are id, agee, file; is it called agee?");
  add(399, "OneFieldTooFew", head + "1,2,a\n2,3\n", "3:3", "2 fields in a table of 3 columns");
  add(400, "OneFieldTooMany", head + "1,2,a,9\n", "2:7", "4 fields in a table of 3 columns");
  add(400, "EmptyLine", head + "1,2,a\n\n2,2,b\n", "3:1", "an empty line");
  add(401, "UnclosedQuote", head + "1,2,a\n2,\"3,b\n4,5,c\n", "3:3", "a quote that is never closed");
  add(402, "QuoteInside", head + "1,2\"3,a\n", "2:4", "a quote inside a field");
  add(402, "TextAfterQuote", head + "1,\"2\"3,a\n", "2:6", "text after a closing quote");
  add(403, "PathUpwards", head + "1,2,../../etc/passwd\n", "2:5", "'../../etc/passwd' is no relative path");
  add(403, "PathUpwardsInside", head + "1,2,a/../../b\n", "2:5", "no relative path");
  add(404, "AbsolutePath", head + "1,2,/etc/passwd\n", "2:5", "'/etc/passwd' is no relative path");
  add(404, "EmptyPath", head + "1,2,\n", "2:5", "no relative path");
  add(405, "DuplicateColumn", "id,age,file,age\n1,2,a,3\n", "1:13", "a column of the same name");
  add(405, "NamelessColumn", "id,age,file,\n1,2,a,3\n", "1:13", "a column without a name");
  add(406, "DuplicateRow", head + "7,2,a\n8,2,b\n7,3,c\n", "4:1", "'7' occurs twice, on lines 2 and 4");
  add(407, "Utf16", std::string("\xFF\xFEi\0d\0", 6), "1:1", "the text is UTF-16");
  add(408, "Nul", head + std::string("1,\0,a\n", 6), "2:3", "a zero byte");
  add(408, "BadUtf8", head + "1,\xC3(,a\n", "2:1", "not valid UTF-8");
  add(409, "Semicolons", "id;age;file\n1;2;a\n", "1:1", "separated by semicolons");
  add(409, "Tabs", "id\tage\tfile\n1\t2\ta\n", "1:1", "separated by tabs");
  add(410, "MegabyteField", head + "1," + std::string(1'000'000, '9') + ",a\n", "2:1",
      "row too long; limit 65536, found 65537", ErrorCode::limit);
  add(410, "MegabyteQuotedField", head + "1,\"" + std::string(1'000'000, '\n') + "\",a\n", "2:1", "row too long",
      ErrorCode::limit);
  add(410, "TooManyColumns", std::string(5'000, ','), "1:1001", "too many columns", ErrorCode::limit);
  add(410, "Html", "\n <!DOCTYPE html>\n<html>", "1:1", "this is a web page");
  add(410, "CarriageReturns", "id,age,file\r1,2,a\r", "1:12", "a carriage return without a line feed");
  return out;
}

}  // namespace furrow::testing
