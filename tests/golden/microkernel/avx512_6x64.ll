; ModuleID = "golden"
target triple = "x86_64-unknown-linux-gnu"
target datalayout = ""

define internal void @"gemm_f32_6x64_t9_k16_set_a_table_32_1_b_1024_64_c_64"(ptr %"c", ptr %"a", ptr %"b", ptr %"a_batch") noinline nounwind
{
entry:
  br label %"loop"
loop:
  %".7" = phi  i64 [0, %"entry"], [%".137", %"done"]
  %".8" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".95", %"done"]
  %".9" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".96", %"done"]
  %".10" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".97", %"done"]
  %".11" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".98", %"done"]
  %".12" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".102", %"done"]
  %".13" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".103", %"done"]
  %".14" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".104", %"done"]
  %".15" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".105", %"done"]
  %".16" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".109", %"done"]
  %".17" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".110", %"done"]
  %".18" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".111", %"done"]
  %".19" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".112", %"done"]
  %".20" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".116", %"done"]
  %".21" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".117", %"done"]
  %".22" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".118", %"done"]
  %".23" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".119", %"done"]
  %".24" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".123", %"done"]
  %".25" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".124", %"done"]
  %".26" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".125", %"done"]
  %".27" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".126", %"done"]
  %".28" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".130", %"done"]
  %".29" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".131", %"done"]
  %".30" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".132", %"done"]
  %".31" = phi  <16 x float> [splat (float              0x0), %"entry"], [%".133", %"done"]
  %".32" = getelementptr i32, ptr %"a_batch", i64 %".7"
  %".33" = load i32, ptr %".32", align 4
  %".34" = sext i32 %".33" to i64
  %".35" = getelementptr float, ptr %"a", i64 %".34"
  %".36" = mul i64 0, 32
  %".37" = getelementptr float, ptr %".35", i64 %".36"
  %".38" = mul i64 1, 32
  %".39" = getelementptr float, ptr %".35", i64 %".38"
  %".40" = mul i64 2, 32
  %".41" = getelementptr float, ptr %".35", i64 %".40"
  %".42" = mul i64 3, 32
  %".43" = getelementptr float, ptr %".35", i64 %".42"
  %".44" = mul i64 4, 32
  %".45" = getelementptr float, ptr %".35", i64 %".44"
  %".46" = mul i64 5, 32
  %".47" = getelementptr float, ptr %".35", i64 %".46"
  %".48" = mul i64 %".7", 1024
  %".49" = getelementptr float, ptr %"b", i64 %".48"
  br label %"loop.1"
loop.1:
  %".51" = phi  i64 [0, %"loop"], [%".134", %"loop.1"]
  %".52" = phi  <16 x float> [%".8", %"loop"], [%".95", %"loop.1"]
  %".53" = phi  <16 x float> [%".9", %"loop"], [%".96", %"loop.1"]
  %".54" = phi  <16 x float> [%".10", %"loop"], [%".97", %"loop.1"]
  %".55" = phi  <16 x float> [%".11", %"loop"], [%".98", %"loop.1"]
  %".56" = phi  <16 x float> [%".12", %"loop"], [%".102", %"loop.1"]
  %".57" = phi  <16 x float> [%".13", %"loop"], [%".103", %"loop.1"]
  %".58" = phi  <16 x float> [%".14", %"loop"], [%".104", %"loop.1"]
  %".59" = phi  <16 x float> [%".15", %"loop"], [%".105", %"loop.1"]
  %".60" = phi  <16 x float> [%".16", %"loop"], [%".109", %"loop.1"]
  %".61" = phi  <16 x float> [%".17", %"loop"], [%".110", %"loop.1"]
  %".62" = phi  <16 x float> [%".18", %"loop"], [%".111", %"loop.1"]
  %".63" = phi  <16 x float> [%".19", %"loop"], [%".112", %"loop.1"]
  %".64" = phi  <16 x float> [%".20", %"loop"], [%".116", %"loop.1"]
  %".65" = phi  <16 x float> [%".21", %"loop"], [%".117", %"loop.1"]
  %".66" = phi  <16 x float> [%".22", %"loop"], [%".118", %"loop.1"]
  %".67" = phi  <16 x float> [%".23", %"loop"], [%".119", %"loop.1"]
  %".68" = phi  <16 x float> [%".24", %"loop"], [%".123", %"loop.1"]
  %".69" = phi  <16 x float> [%".25", %"loop"], [%".124", %"loop.1"]
  %".70" = phi  <16 x float> [%".26", %"loop"], [%".125", %"loop.1"]
  %".71" = phi  <16 x float> [%".27", %"loop"], [%".126", %"loop.1"]
  %".72" = phi  <16 x float> [%".28", %"loop"], [%".130", %"loop.1"]
  %".73" = phi  <16 x float> [%".29", %"loop"], [%".131", %"loop.1"]
  %".74" = phi  <16 x float> [%".30", %"loop"], [%".132", %"loop.1"]
  %".75" = phi  <16 x float> [%".31", %"loop"], [%".133", %"loop.1"]
  %".76" = mul i64 %".51", 1
  %".77" = getelementptr float, ptr %".37", i64 %".76"
  %".78" = getelementptr float, ptr %".39", i64 %".76"
  %".79" = getelementptr float, ptr %".41", i64 %".76"
  %".80" = getelementptr float, ptr %".43", i64 %".76"
  %".81" = getelementptr float, ptr %".45", i64 %".76"
  %".82" = getelementptr float, ptr %".47", i64 %".76"
  %".83" = mul i64 %".51", 64
  %".84" = getelementptr float, ptr %".49", i64 %".83"
  %".85" = load <16 x float>, ptr %".84", align 4
  %".86" = getelementptr float, ptr %".84", i64 16
  %".87" = load <16 x float>, ptr %".86", align 4
  %".88" = getelementptr float, ptr %".84", i64 32
  %".89" = load <16 x float>, ptr %".88", align 4
  %".90" = getelementptr float, ptr %".84", i64 48
  %".91" = load <16 x float>, ptr %".90", align 4
  %".92" = load float, ptr %".77", align 4
  %".93" = insertelement <16 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, float %".92", i32 0
  %".94" = shufflevector <16 x float> %".93", <16 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, <16 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %".95" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".94", <16 x float> %".85", <16 x float> %".52")
  %".96" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".94", <16 x float> %".87", <16 x float> %".53")
  %".97" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".94", <16 x float> %".89", <16 x float> %".54")
  %".98" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".94", <16 x float> %".91", <16 x float> %".55")
  %".99" = load float, ptr %".78", align 4
  %".100" = insertelement <16 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, float %".99", i32 0
  %".101" = shufflevector <16 x float> %".100", <16 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, <16 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %".102" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".101", <16 x float> %".85", <16 x float> %".56")
  %".103" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".101", <16 x float> %".87", <16 x float> %".57")
  %".104" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".101", <16 x float> %".89", <16 x float> %".58")
  %".105" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".101", <16 x float> %".91", <16 x float> %".59")
  %".106" = load float, ptr %".79", align 4
  %".107" = insertelement <16 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, float %".106", i32 0
  %".108" = shufflevector <16 x float> %".107", <16 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, <16 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %".109" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".108", <16 x float> %".85", <16 x float> %".60")
  %".110" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".108", <16 x float> %".87", <16 x float> %".61")
  %".111" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".108", <16 x float> %".89", <16 x float> %".62")
  %".112" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".108", <16 x float> %".91", <16 x float> %".63")
  %".113" = load float, ptr %".80", align 4
  %".114" = insertelement <16 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, float %".113", i32 0
  %".115" = shufflevector <16 x float> %".114", <16 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, <16 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %".116" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".115", <16 x float> %".85", <16 x float> %".64")
  %".117" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".115", <16 x float> %".87", <16 x float> %".65")
  %".118" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".115", <16 x float> %".89", <16 x float> %".66")
  %".119" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".115", <16 x float> %".91", <16 x float> %".67")
  %".120" = load float, ptr %".81", align 4
  %".121" = insertelement <16 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, float %".120", i32 0
  %".122" = shufflevector <16 x float> %".121", <16 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, <16 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %".123" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".122", <16 x float> %".85", <16 x float> %".68")
  %".124" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".122", <16 x float> %".87", <16 x float> %".69")
  %".125" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".122", <16 x float> %".89", <16 x float> %".70")
  %".126" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".122", <16 x float> %".91", <16 x float> %".71")
  %".127" = load float, ptr %".82", align 4
  %".128" = insertelement <16 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, float %".127", i32 0
  %".129" = shufflevector <16 x float> %".128", <16 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, <16 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %".130" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".129", <16 x float> %".85", <16 x float> %".72")
  %".131" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".129", <16 x float> %".87", <16 x float> %".73")
  %".132" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".129", <16 x float> %".89", <16 x float> %".74")
  %".133" = call <16 x float> @"llvm.fma.v16f32"(<16 x float> %".129", <16 x float> %".91", <16 x float> %".75")
  %".134" = add i64 %".51", 1
  %".135" = icmp slt i64 %".134", 16
  br i1 %".135", label %"loop.1", label %"done"
done:
  %".137" = add i64 %".7", 1
  %".138" = icmp slt i64 %".137", 9
  br i1 %".138", label %"loop", label %"done.1"
done.1:
  %".140" = mul i64 0, 64
  %".141" = getelementptr float, ptr %"c", i64 %".140"
  store <16 x float> %".95", ptr %".141", align 4
  %".143" = getelementptr float, ptr %".141", i64 16
  store <16 x float> %".96", ptr %".143", align 4
  %".145" = getelementptr float, ptr %".141", i64 32
  store <16 x float> %".97", ptr %".145", align 4
  %".147" = getelementptr float, ptr %".141", i64 48
  store <16 x float> %".98", ptr %".147", align 4
  %".149" = mul i64 1, 64
  %".150" = getelementptr float, ptr %"c", i64 %".149"
  store <16 x float> %".102", ptr %".150", align 4
  %".152" = getelementptr float, ptr %".150", i64 16
  store <16 x float> %".103", ptr %".152", align 4
  %".154" = getelementptr float, ptr %".150", i64 32
  store <16 x float> %".104", ptr %".154", align 4
  %".156" = getelementptr float, ptr %".150", i64 48
  store <16 x float> %".105", ptr %".156", align 4
  %".158" = mul i64 2, 64
  %".159" = getelementptr float, ptr %"c", i64 %".158"
  store <16 x float> %".109", ptr %".159", align 4
  %".161" = getelementptr float, ptr %".159", i64 16
  store <16 x float> %".110", ptr %".161", align 4
  %".163" = getelementptr float, ptr %".159", i64 32
  store <16 x float> %".111", ptr %".163", align 4
  %".165" = getelementptr float, ptr %".159", i64 48
  store <16 x float> %".112", ptr %".165", align 4
  %".167" = mul i64 3, 64
  %".168" = getelementptr float, ptr %"c", i64 %".167"
  store <16 x float> %".116", ptr %".168", align 4
  %".170" = getelementptr float, ptr %".168", i64 16
  store <16 x float> %".117", ptr %".170", align 4
  %".172" = getelementptr float, ptr %".168", i64 32
  store <16 x float> %".118", ptr %".172", align 4
  %".174" = getelementptr float, ptr %".168", i64 48
  store <16 x float> %".119", ptr %".174", align 4
  %".176" = mul i64 4, 64
  %".177" = getelementptr float, ptr %"c", i64 %".176"
  store <16 x float> %".123", ptr %".177", align 4
  %".179" = getelementptr float, ptr %".177", i64 16
  store <16 x float> %".124", ptr %".179", align 4
  %".181" = getelementptr float, ptr %".177", i64 32
  store <16 x float> %".125", ptr %".181", align 4
  %".183" = getelementptr float, ptr %".177", i64 48
  store <16 x float> %".126", ptr %".183", align 4
  %".185" = mul i64 5, 64
  %".186" = getelementptr float, ptr %"c", i64 %".185"
  store <16 x float> %".130", ptr %".186", align 4
  %".188" = getelementptr float, ptr %".186", i64 16
  store <16 x float> %".131", ptr %".188", align 4
  %".190" = getelementptr float, ptr %".186", i64 32
  store <16 x float> %".132", ptr %".190", align 4
  %".192" = getelementptr float, ptr %".186", i64 48
  store <16 x float> %".133", ptr %".192", align 4
  ret void
}

declare <16 x float> @"llvm.fma.v16f32"(<16 x float> %".1", <16 x float> %".2", <16 x float> %".3")

