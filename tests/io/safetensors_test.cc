// safetensors files: round trips, another program's reading, and damaged headers of every kind.
#include "io/formats/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "io/dataset/dataset.h"
#include "io/formats/npy.h"
#include "tests/io/plain_file.h"
#include "tests/io/python.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

Tensor counted(const Shape& shape, DType type) {
  const Tensor tensor = host_tensor(shape, type);
  for (std::size_t i = 0; i < tensor.bytes(); ++i)
    tensor.raw()[i] = static_cast<std::byte>(i * 37 % 64);
  return tensor;
}

std::vector<NamedTensor> some_tensors() {
  return {{"fc.weight", counted({3, 4}, DType::kFloat32)},
          {"fc.bias", counted({3}, DType::kFloat32)},
          {"mask", counted({5}, DType::kUInt8)},
          {"half", counted({2, 3, 1}, DType::kBFloat16)},
          {"steps", counted({}, DType::kInt64)},
          {"none", counted({0, 4}, DType::kFloat32)}};
}

std::string file_of(const std::string& header, const std::string& values) {
  const std::uint64_t length = header.size();
  std::string text(reinterpret_cast<const char*>(&length), sizeof length);
  return text + header + values;
}

class Safetensors : public ::testing::Test {
 protected:
  std::string path() const { return folder_.file("w.safetensors"); }
  // The error of reading a file with this JSON header and values.
  std::string error(const std::string& header, const std::string& values) const {
    save_text(path(), file_of(header, values));
    return read_error();
  }
  std::string read_error() const {
    return error_of([&] {
      const SafetensorsReader reader(path());
      for (const auto& entry : reader.entries()) reader.read(entry);
    });
  }
  ScratchFolder folder_;
};

TEST_F(Safetensors, KeepsTensorsOrderAndMetadata) {
  const auto tensors = some_tensors();
  write_safetensors(path(), tensors, {{"format", "pt"}, {"note", "\"quoted\" ü"}});
  const SafetensorsReader reader(path());
  EXPECT_EQ(reader.metadata().at("note"), "\"quoted\" ü");
  ASSERT_EQ(reader.entries().size(), tensors.size());
  EXPECT_EQ(reader.entries()[0].offset % 8, 0u);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& entry = reader.entries()[i];
    EXPECT_EQ(entry.name, tensors[i].name);
    EXPECT_EQ(entry.shape, tensors[i].tensor.shape());
    EXPECT_EQ(entry.type, tensors[i].tensor.dtype());
    const Tensor read = reader.read(entry);
    EXPECT_EQ(std::memcmp(read.raw(), tensors[i].tensor.raw(), read.bytes()), 0) << entry.name;
  }
  EXPECT_EQ(reader.find("fc.bias"), &reader.entries()[1]);
  EXPECT_EQ(reader.find("absent"), nullptr);
}

TEST_F(Safetensors, EqualContentsGiveEqualBytes) {
  write_safetensors(path(), some_tensors(), {{"b", "2"}, {"a", "1"}});
  const std::string first = read_text(path());
  write_safetensors(path(), some_tensors(), {{"a", "1"}, {"b", "2"}});
  EXPECT_EQ(read_text(path()), first);
  EXPECT_FALSE(std::filesystem::exists(path() + ".partial"));
}

TEST_F(Safetensors, NoTensorsAtAll) {
  write_safetensors(path(), {});
  EXPECT_TRUE(SafetensorsReader(path()).entries().empty());
}

TEST_F(Safetensors, AnotherProgramReadsThem) {
  write_safetensors(path(), some_tensors(), {{"format", "pt"}});
  const std::string output = python_output(
      "import json, struct, numpy\n"
      "data = open('" +
      path() +
      "', 'rb').read()\n"
      "n = struct.unpack('<Q', data[:8])[0]\n"
      "header = json.loads(data[8:8 + n])\n"
      "assert header['__metadata__'] == {'format': 'pt'}\n"
      "assert (8 + n) % 8 == 0\n"
      "e = header['fc.weight']\n"
      "w = numpy.frombuffer(data[8 + n:][slice(*e['data_offsets'])], '<f4').reshape(e['shape'])\n"
      "expected = (numpy.arange(48) * 37 % 64).astype('u1').view('<f4').reshape(3, 4)\n"
      "assert e['dtype'] == 'F32' and (w == expected).all()\n"
      "assert header['half']['dtype'] == 'BF16' and header['steps']['shape'] == []\n"
      "print('fine')\n");
  EXPECT_EQ(output, "fine\n");
}

TEST_F(Safetensors, NamesFileAndTensorOfWhatIsWrong) {
  const std::string eight(8, 'x');
  const auto entry = [](const std::string& type, const std::string& shape,
                        const std::string& place) {
    return "{\"t\":{\"dtype\":\"" + type + "\",\"shape\":" + shape + ",\"data_offsets\":" + place +
           "}}";
  };
  EXPECT_EQ(error(entry("F32", "[2]", "[0,8]"), eight), "");
  EXPECT_THAT(error(entry("F8_E4M3", "[8]", "[0,8]"), eight),
              HasSubstr("tensor 't': type \"F8_E4M3\""));
  EXPECT_EQ(error(entry("F16", "[4]", "[0,8]"), eight), "");
  EXPECT_THAT(error(entry("F16", "[2]", "[0,8]"), eight), HasSubstr("F16 (2) takes 4 bytes"));
  EXPECT_THAT(error(entry("F32", "[3]", "[0,8]"), eight), HasSubstr("(3) takes 12 bytes"));
  EXPECT_THAT(error(entry("F32", "[2]", "[8,0]"), eight), HasSubstr("tensor 't'"));
  EXPECT_THAT(error(entry("F32", "[-2]", "[0,8]"), eight), HasSubstr("'shape' holds -2"));
  EXPECT_THAT(error(entry("F32", "[2.0]", "[0,8]"), eight), HasSubstr("'shape' holds 2.0"));
  EXPECT_THAT(error(entry("F32", "2", "[0,8]"), eight), HasSubstr("'shape' is not a list"));
  EXPECT_THAT(error(entry("F32", "[1,1,1,1,1,1,2]", "[0,8]"), eight), HasSubstr("7 axes"));
  EXPECT_THAT(error(entry("F32", "[4611686018427387904,4]", "[0,8]"), eight),
              HasSubstr("too many elements"));
  EXPECT_THAT(error(entry("F32", "[2]", "[4,12]"), eight + "1234"), HasSubstr("leave a gap"));
  EXPECT_THAT(error(entry("F32", "[2]", "[0,8]"), "1234"), HasSubstr("truncated: tensor 't'"));
  EXPECT_THAT(error(entry("F32", "[2]", "[0,8]"), eight + "1"), HasSubstr("1 bytes follow"));
  EXPECT_THAT(error("{\"t\":{\"dtype\":\"F32\"}}", ""), HasSubstr("tensor 't': no 'shape'"));
  EXPECT_THAT(error("{\"t\":1}", ""), HasSubstr("tensor 't': no 'dtype'"));
  EXPECT_THAT(error("{\"__metadata__\":{\"a\":1}}", ""), HasSubstr("__metadata__ 'a'"));
  EXPECT_THAT(error("[]", ""), HasSubstr("not a JSON object"));
  EXPECT_THAT(error("{\"t\":", ""), HasSubstr("damaged safetensors header"));
  const std::string u8 = "{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":";
  EXPECT_THAT(error("{\"a\":" + u8 + "[0,2]},\"b\":" + u8 + "[1,3]}}", "123"),
              HasSubstr("tensor 'b' starts at 1 of the values, where 2 belongs: tensors overlap"));
  EXPECT_THAT(error("{\"a\":" + u8 + "[0,2]},\"a\":" + u8 + "[2,4]}}", "1234"),
              HasSubstr("two tensors are named 'a'"));
  save_text(path(), "short");
  EXPECT_THAT(read_error(), HasSubstr("5 bytes are too few"));
  save_text(path(), std::string(8, '\xFF') + "{}");
  EXPECT_THAT(read_error(), HasSubstr("claims 18446744073709551615 bytes"));
  save_text(path(), std::string("PK\3\4\0\0\0\0", 8) + "archive/data.pkl");
  EXPECT_THAT(read_error(), HasSubstr("a file of torch.save, not safetensors"));
  save_text(path(), "\x89HDF\r\n\x1a\n and more");
  EXPECT_THAT(read_error(), HasSubstr("an HDF5 file"));
  EXPECT_THAT(error_of([] { SafetensorsReader("/absent.safetensors"); }), HasSubstr("cannot open"));
}

TEST_F(Safetensors, AHeaderWhoseLengthLooksLikeAnotherFormatIsRead) {
  const std::string header = "{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";
  EXPECT_EQ(error(header + std::string(640 - header.size(), ' '), "12345678"), "");
}

TEST_F(Safetensors, TruncationAndFlippedHeaderBitsNeverCrash) {
  write_safetensors(path(), some_tensors());
  const std::string whole = read_text(path());
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    save_text(path(), whole.substr(0, bytes));
    EXPECT_NE(read_error(), "") << bytes;
  }
  std::uint64_t length = 0;
  std::memcpy(&length, whole.data(), sizeof length);
  for (std::size_t bit = 0; bit < 8 * (8 + length); bit += 11) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    save_text(path(), flipped);
    read_error();  // another name is no damage that the format can show
  }
}

TEST(NpyWriter, NumpyReadsThem) {
  const ScratchFolder folder;
  const Tensor x = host_tensor({2, 3}, DType::kFloat32), y = host_tensor({4}, DType::kInt64);
  for (int i = 0; i < 6; ++i) x.data<float>()[i] = 0.5f * static_cast<float>(i);
  for (int i = 0; i < 4; ++i) y.data<std::int64_t>()[i] = -i;
  write_npy(folder.file("x.npy"), x);
  write_npy(folder.file("y.npy"), y);
  write_npy(folder.file("none.npy"), host_tensor({0, 2}, DType::kFloat32));
  EXPECT_EQ(python_output("import numpy\n"
                          "for name in 'x', 'y', 'none':\n"
                          "  a = numpy.load('" +
                          folder.path() +
                          "/' + name + '.npy')\n"
                          "  print(a.dtype, a.shape, a.tolist())\n"),
            "float32 (2, 3) [[0.0, 0.5, 1.0], [1.5, 2.0, 2.5]]\n"
            "int64 (4,) [0, -1, -2, -3]\nfloat32 (0, 2) []\n");
}

TEST(Files, FailWithTheirName) {
  EXPECT_THAT(error_of([] { write_text("/absent/folder/file", "x"); }),
              HasSubstr("/absent/folder/file: cannot create"));
  EXPECT_THAT(error_of([] { read_text("/absent"); }), HasSubstr("/absent: cannot open"));
  EXPECT_THAT(error_of([] { read_text("/tmp"); }), HasSubstr("not a regular file"));
}

TEST(Files, AFailedWriteLeavesWhatWasThere) {
  const ScratchFolder folder;
  const std::string path = folder.file("kept");
  write_text(path, "old");
  {
    FileWriter writer(path);
    writer.write("new, but never committed");
  }
  EXPECT_EQ(read_text(path), "old");
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
  // The temporary name leads to a device that is always full.
  std::filesystem::create_symlink("/dev/full", path + ".partial");
  EXPECT_THAT(error_of([&] { write_text(path, std::string(1 << 20, 'x')); }),
              HasSubstr("(what stood there before is unchanged): the disk is full; make room"));
  EXPECT_EQ(read_text(path), "old");
}

}  // namespace
}  // namespace lockstep
